namespace Glip.Managed.Imaging;

/// <summary>
/// A picture that somebody else owns: pixels, size, channel order and row stride. Nothing is copied; the pixels must not
/// change while a call reads them.
/// </summary>
public readonly ref struct ImageView
{
    /// <summary>Describes <paramref name="pixels"/> as a picture.</summary>
    /// <param name="pixels">Rows from the top, each <paramref name="stride"/> bytes after the one before; the last row may end at its last pixel.</param>
    /// <param name="width">Pixels in a row, at least 1.</param>
    /// <param name="height">Rows, at least 1.</param>
    /// <param name="format">Channel order of a pixel.</param>
    /// <param name="stride">Bytes from one row to the next; 0 means rows without gaps.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive, or <paramref name="stride"/> is smaller than a row.</exception>
    /// <exception cref="ArgumentException"><paramref name="pixels"/> is shorter than the sizes say.</exception>
    public ImageView(ReadOnlySpan<byte> pixels, int width, int height, PixelFormat format, int stride = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        long row = (long)width * format.BytesPerPixel();
        if (stride == 0)
            stride = checked((int)row);
        if (stride < row)
            throw new ArgumentOutOfRangeException(nameof(stride), stride, $"a row of {width} {format} pixels needs {row} bytes");
        long needed = (long)stride * (height - 1) + row;
        if (pixels.Length < needed)
            throw new ArgumentException($"{width}x{height} {format} with stride {stride} needs {needed} bytes, got {pixels.Length}", nameof(pixels));
        Pixels = pixels;
        Width = width;
        Height = height;
        Format = format;
        Stride = stride;
    }

    /// <summary>All rows, from the top.</summary>
    public ReadOnlySpan<byte> Pixels { get; }

    /// <summary>Pixels in a row.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>Channel order of a pixel.</summary>
    public PixelFormat Format { get; }

    /// <summary>Bytes from one row to the next.</summary>
    public int Stride { get; }

    /// <summary>The bytes of row <paramref name="y"/>, without padding.</summary>
    public ReadOnlySpan<byte> Row(int y) => Pixels.Slice(checked(y * Stride), Width * Format.BytesPerPixel());
}
