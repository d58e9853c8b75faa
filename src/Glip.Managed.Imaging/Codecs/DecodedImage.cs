namespace Glip.Managed.Imaging.Codecs;

/// <summary>A picture in memory: 8-bit red, green, blue, rows from the top without gaps.</summary>
public sealed class DecodedImage
{
    /// <summary>Wraps pixels without copying them.</summary>
    /// <param name="width">Columns, at least 1.</param>
    /// <param name="height">Rows, at least 1.</param>
    /// <param name="pixels">Exactly <c>height · width · 3</c> bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    /// <exception cref="ArgumentException"><paramref name="pixels"/> has another length.</exception>
    public DecodedImage(int width, int height, byte[] pixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentNullException.ThrowIfNull(pixels);
        if (pixels.Length != (long)width * height * 3)
            throw new ArgumentException($"{width}x{height} RGB has {(long)width * height * 3} bytes, got {pixels.Length}", nameof(pixels));
        Width = width;
        Height = height;
        Pixels = pixels;
    }

    /// <summary>Columns, after the orientation was applied.</summary>
    public int Width { get; }

    /// <summary>Rows, after the orientation was applied.</summary>
    public int Height { get; }

    /// <summary><c>Height · Width · 3</c> bytes: red, green, blue.</summary>
    public byte[] Pixels { get; }

    /// <summary>The format of the file that the picture was read from; null if it comes from elsewhere.</summary>
    public ImageFormat? Format { get; init; }

    /// <summary>The EXIF orientation that the file asked for and that has been applied, 1 to 8; 1 means as stored.</summary>
    public int Orientation { get; init; } = 1;

    /// <summary>The picture as the detector takes it.</summary>
    public ImageView View => new(Pixels, Width, Height, PixelFormat.Rgb24);

    /// <summary>The picture for a list of several.</summary>
    public ImageMemory Memory => new(Pixels, Width, Height, PixelFormat.Rgb24);
}
