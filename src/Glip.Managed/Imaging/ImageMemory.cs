namespace Glip.Managed.Imaging;

/// <summary>A picture that can be kept in a list, unlike an <see cref="ImageView"/>; nothing is copied, and nothing checked before <see cref="View"/>.</summary>
/// <param name="Pixels">Rows from the top, each <paramref name="Stride"/> bytes after the one before; the last row may end at its last pixel.</param>
/// <param name="Width">Pixels in a row, at least 1.</param>
/// <param name="Height">Rows, at least 1.</param>
/// <param name="Format">Channel order of a pixel.</param>
/// <param name="Stride">Bytes from one row to the next; 0 means rows without gaps.</param>
/// <remarks>Two are equal if they are the same memory, seen alike.</remarks>
public readonly record struct ImageMemory(ReadOnlyMemory<byte> Pixels, int Width, int Height, PixelFormat Format, int Stride = 0)
{
    /// <summary>The picture as the detector takes it.</summary>
    /// <exception cref="ArgumentException">Sizes do not belong together, see <see cref="ImageView"/>.</exception>
    public ImageView View => new(Pixels.Span, Width, Height, Format, Stride);
}
