namespace Glip.Managed.Imaging.Codecs;

/// <summary>One file's decoding: what messages call it, its limits, and what has been used of them.</summary>
internal sealed class DecodeContext(string name, ImageFormat format, ImageReadOptions options)
{
    private readonly string _formatName = format.ToString().ToUpperInvariant();
    private long _reservedBytes;

    public ImageFormat Format => format;

    public ImageReadOptions Options => options;

    public GlipFormatException Corrupt(string what) => new($"{name}: corrupt {_formatName}: {what}");

    public GlipFormatException Corrupt(string what, Exception inner) => new($"{name}: corrupt {_formatName}: {what}", inner);

    public GlipFormatException Truncated(string what) => new($"{name}: truncated {_formatName}: {what}");

    public GlipFormatException Truncated(string what, Exception inner) => new($"{name}: truncated {_formatName}: {what}", inner);

    public GlipFormatException Unsupported(string what) => new($"{name}: unsupported {_formatName}: {what}");

    /// <summary>Accepts a picture's size and takes its pixels' bytes from the limit. The caller allocates them afterwards.</summary>
    /// <exception cref="GlipFormatException">A size of 0, or too large.</exception>
    public void ReservePixels(int width, int height)
    {
        if (width <= 0 || height <= 0)
            throw Corrupt($"a size of {width}x{height}");
        long pixels = (long)width * height;
        long limit = Math.Min(options.MaxPixels, Array.MaxLength / 3);
        if (pixels > limit)
            throw new GlipFormatException($"{name}: {width}x{height} is {pixels} pixels, the limit is {limit}");
        Reserve(pixels * 3, "pixels");
    }

    /// <summary>Takes bytes from the memory limit before they are allocated.</summary>
    /// <exception cref="GlipFormatException">The limit is passed.</exception>
    public void Reserve(long bytes, string purpose)
    {
        _reservedBytes += bytes;
        if (_reservedBytes > options.MaxMemoryBytes || bytes > Array.MaxLength)
            throw new GlipFormatException($"{name}: decoding needs {_reservedBytes} bytes of memory ({bytes} for {purpose}), the limit is {options.MaxMemoryBytes}");
    }
}
