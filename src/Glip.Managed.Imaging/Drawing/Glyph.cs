namespace Glip.Managed.Imaging.Drawing;

/// <summary>One character, drawn.</summary>
/// <param name="Advance">Pixels from this character's pen position to the next one's.</param>
/// <param name="Left">First column with ink, counted from the pen.</param>
/// <param name="Top">First row with ink, counted from the baseline: negative above it.</param>
/// <param name="Width">Columns with ink.</param>
/// <param name="Height">Rows with ink.</param>
/// <param name="Coverage"><c>Height · Width</c> values, 0 (no ink) to 255.</param>
internal sealed record Glyph(int Advance, int Left, int Top, int Width, int Height, byte[] Coverage)
{
    /// <summary>The same character, larger: coverage is interpolated between pixel centers.</summary>
    public Glyph Enlarged(int factor)
    {
        var coverage = new byte[checked(Width * factor * Height * factor)];
        for (int y = 0, o = 0; y < Height * factor; y++)
        {
            (int y0, int y1, float down) = Neighbors(y, Height);
            for (int x = 0; x < Width * factor; x++, o++)
            {
                (int x0, int x1, float right) = Neighbors(x, Width);
                float above = float.Lerp(Coverage[y0 * Width + x0], Coverage[y0 * Width + x1], right);
                float below = float.Lerp(Coverage[y1 * Width + x0], Coverage[y1 * Width + x1], right);
                coverage[o] = (byte)MathF.Round(float.Lerp(above, below, down));
            }
        }

        return new Glyph(Advance * factor, Left * factor, Top * factor, Width * factor, Height * factor, coverage);

        // The two source pixels around the center of a new one, and how far it is on the way from the first to the second.
        (int First, int Second, float Way) Neighbors(int position, int size)
        {
            float center = Math.Clamp((position + 0.5f) / factor - 0.5f, 0, size - 1);
            int first = (int)center;
            return (first, Math.Min(first + 1, size - 1), center - first);
        }
    }
}
