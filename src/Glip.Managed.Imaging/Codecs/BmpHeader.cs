using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>How the pixels of a bitmap are written; the values are the file's.</summary>
internal enum BmpCompression
{
    None = 0,
    RunLength8 = 1,
    RunLength4 = 2,
    BitFields = 3,
    BitFieldsWithAlpha = 6,
}

/// <summary>The headers of a bitmap: Windows versions 3 to 5, and OS/2 versions 1 and 2.</summary>
internal sealed class BmpHeader
{
    private const int FileHeaderBytes = 14;
    private const int CoreHeaderBytes = 12; // OS/2 version 1
    private const int InfoHeaderBytes = 40; // the part that all others begin with

    private static ReadOnlySpan<int> KnownHeaderBytes => [CoreHeaderBytes, InfoHeaderBytes, 52, 56, 64, 108, 124];

    public required int Width { get; init; }

    public required int Height { get; init; }

    /// <summary>Whether the first row is the highest.</summary>
    public required bool TopDown { get; init; }

    public required int BitsPerPixel { get; init; }

    public required BmpCompression Compression { get; init; }

    /// <summary>Where red, green and blue are in a pixel of 16 bits or more.</summary>
    public required BmpChannel[] Channels { get; init; }

    /// <summary>256 entries of red, green, blue; gray in those that the file leaves out.</summary>
    public required byte[] Palette { get; init; }

    /// <summary>Where in the file the pixels begin.</summary>
    public required long PixelOffset { get; init; }

    /// <summary>Bytes from one row to the next: whole 32-bit words.</summary>
    public long Stride => ((long)Width * BitsPerPixel + 31) / 32 * 4;

    /// <exception cref="GlipFormatException">Not a bitmap that the decoder reads.</exception>
    public static BmpHeader Parse(ReadOnlySpan<byte> file, DecodeContext context)
    {
        if (file.Length < FileHeaderBytes + CoreHeaderBytes)
            throw context.Truncated("the file ends within its header");
        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(file[10..]);
        uint headerBytes = BinaryPrimitives.ReadUInt32LittleEndian(file[FileHeaderBytes..]);
        if (headerBytes > int.MaxValue || !KnownHeaderBytes.Contains((int)headerBytes))
            throw context.Unsupported($"a header of {headerBytes} bytes, expected 12, 40, 52, 56, 64, 108 or 124");
        ReadOnlySpan<byte> header = file[FileHeaderBytes..];
        if (header.Length < headerBytes)
            throw context.Truncated("the file ends within its header");
        header = header[..(int)headerBytes];
        ReadOnlySpan<byte> rest = file[(FileHeaderBytes + (int)headerBytes)..];
        bool core = headerBytes == CoreHeaderBytes;

        int width = core ? BinaryPrimitives.ReadUInt16LittleEndian(header[4..]) : BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        int height = core ? BinaryPrimitives.ReadUInt16LittleEndian(header[6..]) : BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        bool topDown = height < 0;
        if (width <= 0 || height is 0 or int.MinValue)
            throw context.Corrupt($"a size of {width}x{height}");
        int bits = BinaryPrimitives.ReadUInt16LittleEndian(header[(core ? 10 : 14)..]);
        var compression = core ? BmpCompression.None : (BmpCompression)BinaryPrimitives.ReadUInt32LittleEndian(header[16..]);
        bool possible = compression switch
        {
            BmpCompression.None => bits is 1 or 4 or 8 or 16 or 24 or 32,
            BmpCompression.RunLength8 => bits == 8,
            BmpCompression.RunLength4 => bits == 4,
            BmpCompression.BitFields or BmpCompression.BitFieldsWithAlpha => bits is 16 or 24 or 32,
            _ => false,
        };
        if (!possible)
            throw context.Unsupported($"{bits} bits a pixel with compression {(uint)compression}");

        BmpChannel[] channels = bits == 16 ? BmpChannel.Default16 : BmpChannel.Default32;
        if (compression is BmpCompression.BitFields or BmpCompression.BitFieldsWithAlpha)
        {
            // Longer headers hold the masks themselves; their alpha comes after those of the colors.
            ReadOnlySpan<byte> masks = header[InfoHeaderBytes..];
            if (headerBytes is InfoHeaderBytes or 64)
            {
                int maskBytes = compression == BmpCompression.BitFields ? 12 : 16;
                if (rest.Length < maskBytes)
                    throw context.Truncated("the file ends within its channel masks");
                masks = rest[..maskBytes];
                rest = rest[maskBytes..];
            }

            channels = BmpChannel.Parse(masks, channels, context);
        }

        byte[] palette = [];
        if (bits <= 8)
        {
            uint colors = core ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(header[32..]);
            if (colors == 0)
                colors = 1u << bits;
            int entryBytes = core ? 3 : 4;
            palette = ReadPalette(rest, Math.Min(256, colors), entryBytes);
            long end = file.Length - rest.Length + (long)colors * entryBytes;

            // Some files give the place of the palette as that of the pixels.
            if (offset <= FileHeaderBytes + headerBytes)
                offset = (uint)Math.Min(end, uint.MaxValue);
        }

        return new BmpHeader
        {
            Width = width,
            Height = Math.Abs(height),
            TopDown = topDown,
            BitsPerPixel = bits,
            Compression = compression,
            Channels = channels,
            Palette = palette,
            PixelOffset = offset != 0 ? offset : file.Length - rest.Length,
        };
    }

    private static byte[] ReadPalette(ReadOnlySpan<byte> entries, uint colors, int entryBytes)
    {
        var palette = new byte[256 * 3];
        for (int i = 0; i < 256; i++)
        {
            Span<byte> rgb = palette.AsSpan(i * 3, 3);
            if (i < colors && (i + 1) * entryBytes <= entries.Length)
                (rgb[0], rgb[1], rgb[2]) = (entries[i * entryBytes + 2], entries[i * entryBytes + 1], entries[i * entryBytes]);
            else
                rgb.Fill((byte)i);
        }

        return palette;
    }
}

/// <summary>The place of one color in a pixel.</summary>
internal readonly record struct BmpChannel(int Shift, uint Largest)
{
    public static readonly BmpChannel[] Default16 = [new(10, 31), new(5, 31), new(0, 31)];

    public static readonly BmpChannel[] Default32 = [new(16, 255), new(8, 255), new(0, 255)];

    /// <summary>The color as 0 to 255.</summary>
    public byte Of(uint pixel) => Largest == 255 ? (byte)(pixel >> Shift) : (byte)((ulong)((pixel >> Shift) & Largest) * 255 / Largest);

    /// <summary>Reads the masks of red, green and blue; all 0 stand for <paramref name="defaults"/>.</summary>
    /// <exception cref="GlipFormatException">The bits of a mask are not adjacent.</exception>
    public static BmpChannel[] Parse(ReadOnlySpan<byte> masks, BmpChannel[] defaults, DecodeContext context)
    {
        if (!masks[..12].ContainsAnyExcept((byte)0))
            return defaults;
        var channels = new BmpChannel[3];
        for (int i = 0; i < 3; i++)
        {
            uint mask = BinaryPrimitives.ReadUInt32LittleEndian(masks[(4 * i)..]);
            int shift = System.Numerics.BitOperations.TrailingZeroCount(mask);
            if (mask == 0 || !System.Numerics.BitOperations.IsPow2((ulong)(mask >> shift) + 1))
                throw context.Unsupported($"a channel mask of {mask:X8}");
            channels[i] = new BmpChannel(shift, mask >> shift);
        }

        return channels;
    }
}
