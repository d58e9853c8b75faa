namespace Glip.Managed.Weights;

/// <summary>The vocabulary as stored: UTF-8 text, one token a line.</summary>
internal static class VocabularyText
{
    /// <summary>Tokens in <paramref name="text"/>; a last line without a line feed counts.</summary>
    public static int CountTokens(ReadOnlySpan<byte> text) => text.Count((byte)'\n') + (text.Length > 0 && text[^1] != '\n' ? 1 : 0);
}
