namespace Glip.Managed.Imaging;

/// <summary>Brings one row of any <see cref="PixelFormat"/> into one channel order.</summary>
internal static class PixelRows
{
    /// <summary>Three bytes a pixel: blue, green, red.</summary>
    public static void ToBgr24(ReadOnlySpan<byte> row, PixelFormat format, Span<byte> bgr)
    {
        if (format == PixelFormat.Bgr24)
        {
            row.CopyTo(bgr);
            return;
        }

        (int step, int blue, int green, int red) = Layout(format);
        Pick(row, step, blue, green, red, bgr);
    }

    /// <summary>Three bytes a pixel: red, green, blue.</summary>
    public static void ToRgb24(ReadOnlySpan<byte> row, PixelFormat format, Span<byte> rgb)
    {
        if (format == PixelFormat.Rgb24)
        {
            row.CopyTo(rgb);
            return;
        }

        (int step, int blue, int green, int red) = Layout(format);
        Pick(row, step, red, green, blue, rgb);
    }

    /// <summary>One integer a pixel: blue in the lowest byte, then green, then red; the highest byte is 0.</summary>
    public static void ToBgr32(ReadOnlySpan<byte> row, PixelFormat format, Span<uint> pixels)
    {
        (int step, int blue, int green, int red) = Layout(format);
        for (int x = 0, i = 0; x < pixels.Length; x++, i += step)
            pixels[x] = row[i + blue] | (uint)row[i + green] << 8 | (uint)row[i + red] << 16;
    }

    private static void Pick(ReadOnlySpan<byte> row, int step, int first, int second, int third, Span<byte> destination)
    {
        for (int i = 0, o = 0; o <= destination.Length - 3; i += step, o += 3)
        {
            destination[o] = row[i + first];
            destination[o + 1] = row[i + second];
            destination[o + 2] = row[i + third];
        }
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
