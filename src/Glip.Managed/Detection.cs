using Glip.Managed.Text;

namespace Glip.Managed;

/// <summary>A box in pixels of the original picture: left, top, right, bottom, absolute, with 0,0 at the picture's top left corner.</summary>
public readonly record struct Box(float X1, float Y1, float X2, float Y2);

/// <summary>One found object.</summary>
/// <param name="Box">Where it is, in pixels of the original picture.</param>
/// <param name="Score">0…1; the root of class probability times centerness.</param>
/// <param name="Label">Number of the prompt's phrase, counted from 1 as in the original.</param>
/// <param name="Phrase">The phrase: its text and where it stands in the prompt.</param>
public sealed record Detection(Box Box, float Score, int Label, PhraseSpan Phrase)
{
    /// <summary>Probability of each of the phrase's tokens at the winning location, if asked for with <see cref="DetectOptions.TokenScores"/>; else empty.</summary>
    public IReadOnlyList<TokenScore> TokenScores { get; init; } = [];
}

/// <summary>Probability of one token of a phrase.</summary>
/// <param name="Token">The WordPiece text, <c>##</c> for continuations.</param>
/// <param name="Position">Position in the token sequence, 0 is <c>[CLS]</c>.</param>
/// <param name="Score">sigma(logit), 0…1.</param>
public readonly record struct TokenScore(string Token, int Position, float Score);
