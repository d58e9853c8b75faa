using System.Text;
using Glip.Managed;
using Glip.Managed.Text;

namespace Glip.Cli;

/// <summary>The file of <c>--labels</c>: UTF-8, one name a line; blank lines and spaces around names do not count.</summary>
internal static class LabelFile
{
    /// <exception cref="GlipFormatException">No name, or not UTF-8.</exception>
    /// <exception cref="IOException">Cannot be read.</exception>
    public static Prompt Read(string path)
    {
        string text;
        try
        {
            text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
        }
        catch (DecoderFallbackException e)
        {
            throw new GlipFormatException($"{path}: byte {e.Index} is not UTF-8; expected a text file with one name a line");
        }

        string[] names = text.TrimStart('\uFEFF').Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (names.Length == 0)
            throw new GlipFormatException($"{path}: no names; expected a text file with one name a line");
        return Prompt.FromCategories(names);
    }
}
