using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>What a pixel of a PNG is made of; the values are the file's.</summary>
internal enum PngColor : byte
{
    Gray = 0,
    Rgb = 2,
    Palette = 3,
    GrayAlpha = 4,
    Rgba = 6,
}

/// <summary>The IHDR chunk.</summary>
internal readonly record struct PngHeader(int Width, int Height, int BitDepth, PngColor Color, bool Interlaced)
{
    public const int Length = 13;

    /// <summary>Samples of a pixel.</summary>
    public int Samples => Color switch
    {
        PngColor.Gray or PngColor.Palette => 1,
        PngColor.GrayAlpha => 2,
        PngColor.Rgb => 3,
        _ => 4,
    };

    /// <summary>Distance in bytes to the pixel that filters look back at: whole pixels, at least one byte.</summary>
    public int FilterDistance => Math.Max(1, Samples * BitDepth / 8);

    /// <summary>Bytes of <paramref name="width"/> pixels, without the filter byte.</summary>
    public long RowBytes(int width) => ((long)width * Samples * BitDepth + 7) / 8;

    /// <exception cref="GlipFormatException">A field is not one that PNG allows.</exception>
    public static PngHeader Parse(ReadOnlySpan<byte> data, DecodeContext context)
    {
        if (data.Length != Length)
            throw context.Corrupt($"IHDR has {data.Length} bytes, expected {Length}");
        int width = BinaryPrimitives.ReadInt32BigEndian(data);
        int height = BinaryPrimitives.ReadInt32BigEndian(data[4..]);
        if (width <= 0 || height <= 0)
            throw context.Corrupt($"a size of {(uint)width}x{(uint)height}");
        int depth = data[8];
        var color = (PngColor)data[9];
        bool known = color switch
        {
            PngColor.Gray => depth is 1 or 2 or 4 or 8 or 16,
            PngColor.Palette => depth is 1 or 2 or 4 or 8,
            PngColor.Rgb or PngColor.GrayAlpha or PngColor.Rgba => depth is 8 or 16,
            _ => false,
        };
        if (!known)
            throw context.Corrupt($"color type {data[9]} with {depth} bits");
        if (data[10] != 0 || data[11] != 0 || data[12] > 1)
            throw context.Corrupt($"compression {data[10]}, filter {data[11]}, interlace {data[12]}; expected 0, 0 and 0 or 1");
        return new PngHeader(width, height, depth, color, data[12] == 1);
    }
}
