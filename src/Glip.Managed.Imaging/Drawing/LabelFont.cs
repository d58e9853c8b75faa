using System.Buffers.Binary;
using System.Text;

namespace Glip.Managed.Imaging.Drawing;

/// <summary>
/// The letters of labels at one size: proportional and anti-aliased, ASCII and Latin-1. An empty square stands for every other
/// character. They are drawings of DejaVu Sans, made by <c>weights-tools/reference/label_glyphs.py</c>, which also says the format.
/// </summary>
internal sealed class LabelFont
{
    private const string Ellipsis = "…";
    private const int Unknown = 0x25A1;

    // A picture this many times as long as an em shows about 70 characters side by side.
    private const int EmsInSide = 40;

    private static readonly Lazy<LabelFont[]> _drawn = new(Load);

    private readonly ushort[] _characters;
    private readonly Glyph[] _glyphs;
    private readonly int _factor;
    private readonly int _descent;
    private readonly int _ascent;
    private readonly int _em;

    private LabelFont(ushort[] characters, Glyph[] glyphs, int em, int ascent, int descent, int factor)
    {
        _characters = characters;
        _glyphs = glyphs;
        _em = em;
        _ascent = ascent;
        _descent = descent;
        _factor = factor;
    }

    /// <summary>Pixels an em.</summary>
    public int Em => _em * _factor;

    /// <summary>Rows above the baseline.</summary>
    public int Ascent => _ascent * _factor;

    /// <summary>Rows of a line, from the highest accent to the lowest descender.</summary>
    public int LineHeight => (_ascent + _descent) * _factor;

    /// <summary>Drawn characters besides the empty square.</summary>
    public IEnumerable<Rune> Characters => Array.ConvertAll(Array.FindAll(_characters, c => c != Unknown), c => new Rune(c));

    /// <summary>The drawing of a character, or the empty square.</summary>
    public Glyph this[Rune character] => _factor == 1 ? Drawn(character) : Drawn(character).Enlarged(_factor);

    /// <summary>The largest size that suits a picture: drawn letters, or whole multiples of the largest ones.</summary>
    /// <param name="side">The longer side of the picture as it is shown.</param>
    public static LabelFont ForSide(int side)
    {
        LabelFont[] drawn = _drawn.Value;
        int em = side / EmsInSide;
        LabelFont largest = drawn[^1];
        if (em < 2 * largest._em)
            return Array.FindLast(drawn, font => font._em <= em) ?? drawn[0];
        return new LabelFont(largest._characters, largest._glyphs, largest._em, largest._ascent, largest._descent, em / largest._em);
    }

    /// <summary>Pixels from the first character's pen position to behind the last one.</summary>
    public int Measure(string text)
    {
        int width = 0;
        foreach (Rune character in text.EnumerateRunes())
            width += Advance(character);
        return width;
    }

    /// <summary>A text and its ending, the text shortened with "…" if both do not fit, or left out if not even its first character fits.</summary>
    public string Fit(string text, string ending, int room)
    {
        if (text.Length == 0)
            return ending;
        string whole = $"{text} {ending}";
        if (Measure(whole) <= room)
            return whole;

        var kept = new StringBuilder();
        string end = $"{Ellipsis} {ending}";
        int left = room - Measure(end);
        foreach (Rune character in text.EnumerateRunes())
        {
            left -= Advance(character);
            if (left < 0)
                break;
            kept.Append(character.ToString());
        }

        return kept.Length == 0 ? ending : kept.ToString().TrimEnd() + end;
    }

    private int Advance(Rune character) => Drawn(character).Advance * _factor;

    private Glyph Drawn(Rune character)
    {
        int index = character.IsBmp ? Array.BinarySearch(_characters, (ushort)character.Value) : -1;
        return _glyphs[index >= 0 ? index : Array.BinarySearch(_characters, (ushort)Unknown)];
    }

    private static LabelFont[] Load()
    {
        using Stream stream = typeof(LabelFont).Assembly.GetManifestResourceStream("label-glyphs.bin")!;
        var data = new byte[stream.Length];
        stream.ReadExactly(data);
        var fonts = new LabelFont[data[0]];
        var characters = new ushort[BinaryPrimitives.ReadUInt16LittleEndian(data.AsSpan(1))];
        int at = 3;
        for (int i = 0; i < characters.Length; i++, at += 2)
            characters[i] = BinaryPrimitives.ReadUInt16LittleEndian(data.AsSpan(at));
        for (int i = 0; i < fonts.Length; i++)
        {
            (int em, int ascent, int descent) = (data[at], data[at + 1], data[at + 2]);
            at += 3;
            var glyphs = new Glyph[characters.Length];
            for (int g = 0; g < glyphs.Length; g++)
                glyphs[g] = ReadGlyph(data, ref at);
            fonts[i] = new LabelFont(characters, glyphs, em, ascent, descent, factor: 1);
        }

        return fonts;
    }

    private static Glyph ReadGlyph(byte[] data, ref int at)
    {
        var glyph = new Glyph(data[at], (sbyte)data[at + 1], (sbyte)data[at + 2], data[at + 3], data[at + 4], new byte[data[at + 3] * data[at + 4]]);
        at += 5;
        byte[] coverage = glyph.Coverage;
        for (int i = 0; i < coverage.Length; i++)
            coverage[i] = (byte)(17 * (i % 2 == 0 ? data[at + i / 2] >> 4 : data[at + i / 2] & 15));
        at += (coverage.Length + 1) / 2;
        return glyph;
    }
}
