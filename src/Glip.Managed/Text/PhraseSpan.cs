namespace Glip.Managed.Text;

/// <summary>A phrase of a prompt: the characters <c>[Begin, End)</c>, counted in Unicode code points, and their text.</summary>
public sealed record PhraseSpan(string Text, int Begin, int End);
