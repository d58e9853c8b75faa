namespace Glip.Managed.Text;

/// <summary>Some labels of a prompt, as the model reads them in one go.</summary>
/// <param name="Encoded">Their tokens. Labels count from 1 in every chunk.</param>
/// <param name="LabelsBefore">Labels of the chunks before; added to a label of this chunk it gives the prompt's.</param>
internal sealed record PromptChunk(EncodedPrompt Encoded, int LabelsBefore)
{
    /// <summary>What its memory follows from.</summary>
    public ChunkSize Size => new(Encoded.Ids.Length, Encoded.PositiveMap.Scored.Length);
}

/// <summary>Tokens of a chunk, and how many of them speak for a label.</summary>
internal readonly record struct ChunkSize(int Tokens, int Scored) : IComparable<ChunkSize>
{
    /// <inheritdoc/>
    public int CompareTo(ChunkSize other) => Tokens != other.Tokens ? Tokens.CompareTo(other.Tokens) : Scored.CompareTo(other.Scored);
}

/// <summary>A prompt as one call reads it: whole, or, where it is a list too long for the model, cut between labels. Immutable.</summary>
internal sealed class PromptChunks
{
    // [CLS] and [SEP], which every chunk has.
    private const int Specials = 2;

    private readonly PromptChunk[] _chunks;

    private PromptChunks(Prompt prompt, PromptChunk[] chunks)
    {
        Prompt = prompt;
        _chunks = chunks;
        Sizes = [.. new SortedSet<ChunkSize>(Array.ConvertAll(chunks, chunk => chunk.Size))];
        CutLabels = chunks.Sum(chunk => chunk.Encoded.TruncatedLabels.Count);
    }

    /// <summary>The prompt.</summary>
    public Prompt Prompt { get; }

    /// <summary>The chunks, in the order of their labels.</summary>
    public ReadOnlySpan<PromptChunk> All => _chunks;

    /// <summary>The sizes that chunks have, each once, the longest last.</summary>
    public ChunkSize[] Sizes { get; }

    /// <summary>Labels that the model does not read whole.</summary>
    public int CutLabels { get; }

    /// <summary>The prompt in one chunk, cut to <paramref name="maxQueryLength"/> tokens if it is longer.</summary>
    public static PromptChunks Whole(Prompt prompt, WordPieceTokenizer tokenizer, int maxQueryLength) =>
        new(prompt, [new PromptChunk(EncodedPrompt.Encode(prompt, tokenizer, maxQueryLength), 0)]);

    /// <summary>The prompt in as few chunks as hold its labels whole. Prompts that are not lists stay in one.</summary>
    /// <remarks>
    /// A chunk is a part of the caption, from its first phrase to the next chunk's: what a list of its labels alone would be. Only a label that
    /// is longer than the model's limit is still cut then (<see cref="CutLabels"/>).
    /// </remarks>
    public static PromptChunks Split(Prompt prompt, WordPieceTokenizer tokenizer, int maxQueryLength)
    {
        PromptChunks whole = Whole(prompt, tokenizer, maxQueryLength);
        if (whole.CutLabels == 0 || !prompt.IsList)
            return whole;

        int[] tokens = TokensByLabel(prompt, tokenizer);
        int[] starts = CodePoints.Starts(prompt.Caption);
        var chunks = new List<PromptChunk>();
        int first = 0, used = 0;
        for (int label = 0; label <= tokens.Length; label++)
        {
            bool ends = label == tokens.Length || (label > first && used + tokens[label] > maxQueryLength - Specials);
            if (ends)
            {
                chunks.Add(new PromptChunk(EncodedPrompt.Encode(prompt.Part(first, label - first, starts), tokenizer, maxQueryLength), first));
                (first, used) = (label, 0);
            }

            if (label < tokens.Length)
                used += tokens[label];
        }

        return new PromptChunks(prompt, [.. chunks]);
    }

    /// <summary>For each label the tokens from its phrase's first to the next phrase's first, separators included.</summary>
    private static int[] TokensByLabel(Prompt prompt, WordPieceTokenizer tokenizer)
    {
        var counts = new int[prompt.Phrases.Count];
        IReadOnlyList<Token> tokens = tokenizer.Encode(prompt.Caption).Tokens;
        int label = 0;
        foreach (Token token in tokens.Skip(1).SkipLast(1))
        {
            while (label + 1 < counts.Length && token.Begin >= prompt.Phrases[label + 1].Begin)
                label++;
            counts[label]++;
        }

        return counts;
    }
}
