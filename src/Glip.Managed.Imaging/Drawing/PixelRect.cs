namespace Glip.Managed.Imaging.Drawing;

/// <summary>A rectangle of pixels: left and top belong to it, right and bottom do not.</summary>
internal readonly record struct PixelRect(int Left, int Top, int Right, int Bottom)
{
    public int Width => Right - Left;

    public int Height => Bottom - Top;

    /// <summary>The pixels of a box in a picture that is shown <paramref name="factor"/> times as large, clipped to it. At least one pixel, whatever the box is.</summary>
    /// <param name="box">In pixels of the picture as it was searched.</param>
    /// <param name="factor">Enlargement.</param>
    /// <param name="width">Columns after the enlargement.</param>
    /// <param name="height">Rows after the enlargement.</param>
    public static PixelRect Of(Box box, int factor, int width, int height)
    {
        // Boxes name their last pixel, rectangles the one after it.
        int left = Edge(box.X1, width - 1);
        int top = Edge(box.Y1, height - 1);
        return new PixelRect(left, top, Math.Max(left + 1, Edge(box.X2 + 1, width)), Math.Max(top + 1, Edge(box.Y2 + 1, height)));

        int Edge(float position, int limit) => (int)Math.Clamp(MathF.Round(position * factor), 0, limit);
    }

    /// <summary>Pixels that both rectangles have.</summary>
    public long SharedWith(PixelRect other)
    {
        int width = Math.Min(Right, other.Right) - Math.Max(Left, other.Left);
        int height = Math.Min(Bottom, other.Bottom) - Math.Max(Top, other.Top);
        return width > 0 && height > 0 ? (long)width * height : 0;
    }
}
