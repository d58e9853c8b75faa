using System.Text;

namespace Glip.Managed.Text;

/// <summary>Counting in Unicode code points, as the original does; a lone surrogate counts as one.</summary>
internal static class CodePoints
{
    /// <summary>How many code points the text has.</summary>
    public static int Count(ReadOnlySpan<char> text)
    {
        int count = 0;
        foreach (Rune _ in text.EnumerateRunes())
            count++;
        return count;
    }

    /// <summary>Where each code point starts in the string, and, last, the string's length.</summary>
    public static int[] Starts(string text)
    {
        int[] starts = new int[Count(text) + 1];
        for (int i = 0, unit = 0; i < starts.Length; i++)
        {
            starts[i] = unit;
            _ = Rune.DecodeFromUtf16(text.AsSpan(unit), out _, out int used);
            unit += used;
        }

        return starts;
    }
}
