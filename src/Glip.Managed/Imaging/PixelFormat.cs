namespace Glip.Managed.Imaging;

/// <summary>Order of the 8-bit channels of one pixel in memory.</summary>
public enum PixelFormat
{
    /// <summary>3 bytes: red, green, blue.</summary>
    Rgb24,

    /// <summary>3 bytes: blue, green, red.</summary>
    Bgr24,

    /// <summary>4 bytes: red, green, blue, alpha. Alpha is ignored.</summary>
    Rgba32,

    /// <summary>4 bytes: blue, green, red, alpha. Alpha is ignored.</summary>
    Bgra32,

    /// <summary>1 byte, used for all three channels.</summary>
    Gray8,
}

/// <summary>Facts about <see cref="PixelFormat"/> values.</summary>
public static class PixelFormats
{
    /// <summary>Bytes of one pixel.</summary>
    public static int BytesPerPixel(this PixelFormat format) => format switch
    {
        PixelFormat.Rgb24 or PixelFormat.Bgr24 => 3,
        PixelFormat.Rgba32 or PixelFormat.Bgra32 => 4,
        PixelFormat.Gray8 => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "is not a PixelFormat"),
    };
}
