namespace Glip.Managed.Imaging;

/// <summary>Brings one row of any <see cref="PixelFormat"/> into blue, green, red order.</summary>
internal static class PixelRows
{
    /// <summary>Three bytes a pixel.</summary>
    public static void ToBgr24(ReadOnlySpan<byte> row, PixelFormat format, Span<byte> bgr)
    {
        if (format == PixelFormat.Bgr24)
        {
            row.CopyTo(bgr);
            return;
        }

        (int step, int blue, int green, int red) = Layout(format);
        for (int i = 0, o = 0; o <= bgr.Length - 3; i += step, o += 3)
        {
            bgr[o] = row[i + blue];
            bgr[o + 1] = row[i + green];
            bgr[o + 2] = row[i + red];
        }
    }

    /// <summary>One integer a pixel: blue in the lowest byte, then green, then red; the highest byte is 0.</summary>
    public static void ToBgr32(ReadOnlySpan<byte> row, PixelFormat format, Span<uint> pixels)
    {
        (int step, int blue, int green, int red) = Layout(format);
        for (int x = 0, i = 0; x < pixels.Length; x++, i += step)
            pixels[x] = row[i + blue] | (uint)row[i + green] << 8 | (uint)row[i + red] << 16;
    }

    private static (int Step, int Blue, int Green, int Red) Layout(PixelFormat format) => format switch
    {
        PixelFormat.Rgb24 => (3, 2, 1, 0),
        PixelFormat.Bgr24 => (3, 0, 1, 2),
        PixelFormat.Rgba32 => (4, 2, 1, 0),
        PixelFormat.Bgra32 => (4, 0, 1, 2),
        PixelFormat.Gray8 => (1, 0, 0, 0),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "is not a PixelFormat"),
    };
}
