using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>The orientation tag of EXIF: finding it, and turning pictures by it.</summary>
internal static class ExifOrientation
{
    private const int OrientationTag = 0x0112;
    private const int EntryBytes = 12;
    private const int TypeShort = 3;
    private const int TypeLong = 4;
    private const int Tile = 32; // pixels; turned by tiles, source and target stay in the cache

    /// <summary>The orientation in a TIFF structure; 1 if it has none or is broken.</summary>
    public static int Parse(ReadOnlySpan<byte> tiff)
    {
        if (tiff.Length < 8)
            return 1;
        bool little = tiff.StartsWith("II*\0"u8);
        if (!little && !tiff.StartsWith("MM\0*"u8))
            return 1;
        uint directory = UInt32(tiff[4..], little);
        if (directory > tiff.Length - 2)
            return 1;
        ReadOnlySpan<byte> entries = tiff[(int)directory..];
        int count = UInt16(entries, little);
        entries = entries[2..];
        int orientation = 1;
        for (; count > 0 && entries.Length >= EntryBytes; count--, entries = entries[EntryBytes..])
        {
            if (UInt16(entries, little) != OrientationTag || UInt32(entries[4..], little) != 1)
                continue;
            uint value = UInt16(entries[2..], little) switch
            {
                TypeShort => (uint)UInt16(entries[8..], little),
                TypeLong => UInt32(entries[8..], little),
                _ => 0,
            };
            orientation = value is >= 1 and <= 8 ? (int)value : 1;
        }

        return orientation;
    }

    /// <summary>Whether the orientation exchanges width and height.</summary>
    public static bool Transposes(int orientation) => orientation >= 5;

    /// <summary>Turns stored RGB pixels the way they are meant to be seen.</summary>
    /// <param name="pixels">Rows without gaps.</param>
    /// <param name="width">Stored columns.</param>
    /// <param name="height">Stored rows.</param>
    /// <param name="orientation">2 to 8.</param>
    /// <param name="turned">Receives as many bytes.</param>
    public static void Apply(ReadOnlySpan<byte> pixels, int width, int height, int orientation, Span<byte> turned)
    {
        // Where the pixels right of and below the stored one go, and where the first one goes, in pixels.
        (int first, int stepX, int stepY) = orientation switch
        {
            2 => (width - 1, -1, width), // mirrored
            3 => (width * height - 1, -1, -width), // upside down
            4 => (width * (height - 1), 1, -width), // mirrored and upside down
            5 => (0, height, 1), // transposed
            6 => (height - 1, height, -1), // to be turned right
            7 => (width * height - 1, -height, -1), // transposed the other way
            8 => (height * (width - 1), -height, 1), // to be turned left
            _ => throw new ArgumentOutOfRangeException(nameof(orientation), orientation, "expected 2 to 8"),
        };
        for (int tileY = 0; tileY < height; tileY += Tile)
        {
            for (int tileX = 0; tileX < width; tileX += Tile)
            {
                int columns = Math.Min(Tile, width - tileX);
                for (int y = tileY; y < Math.Min(height, tileY + Tile); y++)
                {
                    ReadOnlySpan<byte> source = pixels.Slice((y * width + tileX) * 3, columns * 3);
                    int target = (first + tileX * stepX + y * stepY) * 3;
                    for (int i = 0; i < source.Length; i += 3, target += stepX * 3)
                    {
                        Span<byte> pixel = turned.Slice(target, 3);
                        pixel[0] = source[i];
                        pixel[1] = source[i + 1];
                        pixel[2] = source[i + 2];
                    }
                }
            }
        }
    }

    private static int UInt16(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16BigEndian(bytes);

    private static uint UInt32(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : BinaryPrimitives.ReadUInt32BigEndian(bytes);
}
