using System.Text;

namespace Glip.Managed.Imaging.Drawing;

/// <summary>An RGB picture that is drawn on. Whatever lies outside is clipped.</summary>
internal sealed class Canvas(int width, int height)
{
    public int Width => width;

    public int Height => height;

    /// <summary><c>Height · Width · 3</c> bytes: red, green, blue.</summary>
    public byte[] Pixels { get; } = new byte[checked(width * height * 3)];

    /// <summary>A canvas that shows the picture, every pixel as a square of <paramref name="factor"/> pixels.</summary>
    public static Canvas Enlarged(ImageView image, int factor)
    {
        var canvas = new Canvas(checked(image.Width * factor), checked(image.Height * factor));
        var row = new byte[image.Width * 3];
        for (int y = 0; y < canvas.Height; y++)
        {
            Span<byte> target = canvas.Pixels.AsSpan(y * canvas.Width * 3, canvas.Width * 3);
            if (y % factor != 0)
            {
                canvas.Pixels.AsSpan((y - 1) * canvas.Width * 3, canvas.Width * 3).CopyTo(target);
                continue;
            }

            PixelRows.ToRgb24(image.Row(y / factor), image.Format, row);
            for (int x = 0, o = 0; o < target.Length; x++, o += 3)
                row.AsSpan(x / factor * 3, 3).CopyTo(target[o..]);
        }

        return canvas;
    }

    public void Fill(PixelRect rect, Rgb color)
    {
        int left = Math.Clamp(rect.Left, 0, width);
        int right = Math.Clamp(rect.Right, left, width);
        int bottom = Math.Min(rect.Bottom, height);
        for (int y = Math.Max(rect.Top, 0); y < bottom; y++)
        {
            Span<byte> row = Pixels.AsSpan((y * width + left) * 3, (right - left) * 3);
            for (int i = 0; i < row.Length; i += 3)
                (row[i], row[i + 1], row[i + 2]) = (color.Red, color.Green, color.Blue);
        }
    }

    /// <summary>Draws the inner border of a rectangle.</summary>
    public void Frame(PixelRect rect, int thickness, Rgb color)
    {
        int right = Math.Max(rect.Right - thickness, rect.Left);
        int bottom = Math.Max(rect.Bottom - thickness, rect.Top);
        Fill(rect with { Bottom = Math.Min(rect.Top + thickness, rect.Bottom) }, color);
        Fill(rect with { Top = bottom }, color);
        Fill(rect with { Right = Math.Min(rect.Left + thickness, rect.Right) }, color);
        Fill(rect with { Left = right }, color);
    }

    /// <summary>Writes one line, its first character's pen position at (<paramref name="left"/>, <paramref name="baseline"/>).</summary>
    public void Write(string text, int left, int baseline, LabelFont font, Rgb color)
    {
        foreach (Rune character in text.EnumerateRunes())
        {
            Glyph glyph = font[character];
            Blend(glyph, left + glyph.Left, baseline + glyph.Top, color);
            left += glyph.Advance;
        }
    }

    private void Blend(Glyph glyph, int left, int top, Rgb color)
    {
        int right = Math.Min(left + glyph.Width, width);
        int bottom = Math.Min(top + glyph.Height, height);
        for (int y = Math.Max(top, 0); y < bottom; y++)
        {
            for (int x = Math.Max(left, 0); x < right; x++)
            {
                int coverage = glyph.Coverage[(y - top) * glyph.Width + x - left];
                Span<byte> pixel = Pixels.AsSpan((y * width + x) * 3, 3);
                pixel[0] = Mix(pixel[0], color.Red);
                pixel[1] = Mix(pixel[1], color.Green);
                pixel[2] = Mix(pixel[2], color.Blue);

                byte Mix(byte below, byte ink) => (byte)((below * (255 - coverage) + ink * coverage + 127) / 255);
            }
        }
    }
}
