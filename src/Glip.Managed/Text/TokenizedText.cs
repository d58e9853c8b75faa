namespace Glip.Managed.Text;

/// <summary>One token of a text.</summary>
/// <param name="Id">Its number in the vocabulary.</param>
/// <param name="Text">Its text in the vocabulary, <c>##</c> for continuations.</param>
/// <param name="Begin">First character of the original text that it covers, in code points.</param>
/// <param name="End">The character after its last; equal to <paramref name="Begin"/>, both 0, for the added <c>[CLS]</c> and <c>[SEP]</c>.</param>
public readonly record struct Token(int Id, string Text, int Begin, int End);

/// <summary>A text and its whole, untruncated token sequence, from <c>[CLS]</c> to <c>[SEP]</c>. Immutable.</summary>
public sealed class TokenizedText
{
    private readonly Token[] _tokens;

    internal TokenizedText(string text, Token[] tokens)
    {
        Text = text;
        _tokens = tokens;
    }

    /// <summary>The text as given.</summary>
    public string Text { get; }

    /// <summary>The tokens in order. Those between the first and the last cover ranges that never step back.</summary>
    public IReadOnlyList<Token> Tokens => _tokens;

    /// <summary>Position of the first token that covers a character (in code points), or -1 where none does: white space, dropped.</summary>
    internal int PositionOf(int character)
    {
        // The inner tokens' ends never step back, so the first one that ends behind the character is found by halving.
        int low = 1;
        int high = _tokens.Length - 1;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_tokens[middle].End > character)
                high = middle;
            else
                low = middle + 1;
        }

        return low < _tokens.Length - 1 && _tokens[low].Begin <= character ? low : -1;
    }
}
