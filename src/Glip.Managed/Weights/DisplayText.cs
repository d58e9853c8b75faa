using System.Globalization;
using System.Text;

namespace Glip.Managed.Weights;

/// <summary>Names out of untrusted files and shapes, as messages show them: one short line whatever the file holds.</summary>
internal static class DisplayText
{
    private const int LongestName = 120;

    /// <summary>The name in quotes, control characters escaped, cut if very long.</summary>
    public static string Quote(string name)
    {
        var text = new StringBuilder("'");
        foreach (char c in name.AsSpan(0, Math.Min(name.Length, LongestName)))
        {
            if (char.IsControl(c) || char.IsSurrogate(c))
                text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                text.Append(c);
        }

        return text.Append(name.Length > LongestName ? "…'" : "'").ToString();
    }

    /// <summary><c>[256,64,3,3]</c></summary>
    public static string Shape(ReadOnlySpan<int> shape)
    {
        var text = new StringBuilder("[");
        for (int i = 0; i < shape.Length; i++)
        {
            if (i > 0)
                text.Append(',');
            text.Append(shape[i]);
        }

        return text.Append(']').ToString();
    }

    /// <summary>A byte count with its unit: <c>8.1 MB</c>.</summary>
    public static string Bytes(long count) => count switch
    {
        >= 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{count / 1e9:0.00} GB"),
        >= 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{count / 1e6:0.0} MB"),
        >= 1_000 => string.Create(CultureInfo.InvariantCulture, $"{count / 1e3:0.0} kB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{count} bytes"),
    };
}
