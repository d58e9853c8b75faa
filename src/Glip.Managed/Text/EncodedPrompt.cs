namespace Glip.Managed.Text;

/// <summary>A prompt as the model reads it: its tokens, cut to the model's limit, and the tokens that speak for each label. Immutable.</summary>
public sealed class EncodedPrompt
{
    private EncodedPrompt(Prompt prompt, Token[] tokens, PositiveMap positiveMap, int untruncatedCount, int[] truncatedLabels)
    {
        Prompt = prompt;
        Tokens = tokens;
        Ids = Array.ConvertAll(tokens, token => token.Id);
        PositiveMap = positiveMap;
        UntruncatedCount = untruncatedCount;
        TruncatedLabels = truncatedLabels;
    }

    /// <summary>The prompt.</summary>
    public Prompt Prompt { get; }

    /// <summary>The tokens that the model reads, from <c>[CLS]</c> to <c>[SEP]</c>, at most as many as its limit; no padding.</summary>
    public IReadOnlyList<Token> Tokens { get; }

    /// <summary>The numbers of <see cref="Tokens"/>.</summary>
    public ReadOnlyMemory<int> Ids { get; }

    /// <summary>The tokens of each label. Every position is one of <see cref="Tokens"/>.</summary>
    public PositiveMap PositiveMap { get; }

    /// <summary>Number of tokens that the whole caption has, <c>[CLS]</c> and <c>[SEP]</c> included.</summary>
    public int UntruncatedCount { get; }

    /// <summary>True if the caption was longer than the model's limit.</summary>
    public bool IsTruncated => UntruncatedCount > Tokens.Count;

    /// <summary>
    /// Labels, ascending, whose phrase the model does not read whole: tokens of it lie beyond the limit, or in the last place, which
    /// <c>[SEP]</c> takes. Empty where only text outside all phrases was cut.
    /// </summary>
    public IReadOnlyList<int> TruncatedLabels { get; }

    /// <summary>Encodes a prompt.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="maxQueryLength">
    /// Most tokens that the model reads, both specials included (256 in the published models). A longer caption keeps its first
    /// <paramref name="maxQueryLength"/> − 1 tokens and ends in <c>[SEP]</c>.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxQueryLength"/> is below 3.</exception>
    public static EncodedPrompt Encode(Prompt prompt, WordPieceTokenizer tokenizer, int maxQueryLength)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxQueryLength, 3);

        TokenizedText text = tokenizer.Encode(prompt.Caption);
        var positiveMap = PositiveMap.Build(text, prompt, maxQueryLength);
        if (text.Tokens.Count <= maxQueryLength)
            return new EncodedPrompt(prompt, [.. text.Tokens], positiveMap, text.Tokens.Count, []);

        int kept = maxQueryLength - 1;
        var whole = PositiveMap.Build(text, prompt, text.Tokens.Count);
        int[] truncated =
        [
            .. Enumerable.Range(1, whole.LabelCount).Where(label => whole.TokensOf(label) is [.., var last] && last >= kept),
        ];
        return new EncodedPrompt(prompt, [.. text.Tokens.Take(kept), text.Tokens[^1]], positiveMap, text.Tokens.Count, truncated);
    }
}
