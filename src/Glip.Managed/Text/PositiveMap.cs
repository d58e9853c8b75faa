namespace Glip.Managed.Text;

/// <summary>Which tokens speak for each label: the positions whose scores a label's score is the mean of.</summary>
/// <remarks>Labels are not limited in number; the original fails beyond 80.</remarks>
public sealed class PositiveMap
{
    /// <summary>How many further characters are tried where a span's first or last is in no token, being white space or dropped.</summary>
    private const int Reach = 2;

    private readonly int[][] _tokens;

    private PositiveMap(int[][] tokens)
    {
        _tokens = tokens;
        var scored = new SortedSet<int>();
        foreach (int[] positions in tokens)
            scored.UnionWith(positions);
        Scored = [.. scored];
        AllScored = Array.ConvertAll(tokens, positions => Array.ConvertAll(positions, position => Array.BinarySearch(Scored, position)));
    }

    /// <summary>Number of labels, which count from 1.</summary>
    public int LabelCount => _tokens.Length;

    /// <summary>Token positions that speak for any label, ascending: the only ones that need scores.</summary>
    internal int[] Scored { get; }

    /// <summary>Entry i: the tokens of label i + 1, counted among <see cref="Scored"/>.</summary>
    internal IReadOnlyList<int[]> AllScored { get; }

    /// <summary>A label's token positions, ascending, 0 being <c>[CLS]</c>. Empty if no token speaks for it: it never detects.</summary>
    /// <param name="label">1…<see cref="LabelCount"/>.</param>
    public ReadOnlySpan<int> TokensOf(int label)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(label, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(label, LabelCount);
        return _tokens[label - 1];
    }

    /// <summary>Finds the tokens of a prompt's labels.</summary>
    /// <param name="text">The prompt's caption, tokenised.</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="maxQueryLength">
    /// Positions from here on are left out. They are those of the whole text, as in the original: the last one that stays may belong to
    /// a token in whose place the model, given the truncated text, sees <c>[SEP]</c>.
    /// </param>
    public static PositiveMap Build(TokenizedText text, Prompt prompt, int maxQueryLength)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentOutOfRangeException.ThrowIfNegative(maxQueryLength);
        int[][] tokens = new int[prompt.Phrases.Count][];
        for (int i = 0; i < tokens.Length; i++)
        {
            var positions = new SortedSet<int>();
            foreach (var (begin, end) in prompt.SpansOf(i + 1))
            {
                int first = FirstToken(text, begin);
                int last = LastToken(text, end);
                if (first < 0)
                    continue;
                for (int position = first; position <= last && position < maxQueryLength; position++)
                    positions.Add(position);
            }

            tokens[i] = [.. positions];
        }

        return new PositiveMap(tokens);
    }

    private static int FirstToken(TokenizedText text, int begin)
    {
        int position = -1;
        for (int character = begin; position < 0 && character <= begin + Reach; character++)
            position = text.PositionOf(character);
        return position;
    }

    private static int LastToken(TokenizedText text, int end)
    {
        int position = -1;
        for (int character = end - 1; position < 0 && character >= end - 1 - Reach; character--)
            position = text.PositionOf(character);
        return position;
    }
}
