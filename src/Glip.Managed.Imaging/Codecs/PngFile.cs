using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>The chunks of a PNG file that its pixels depend on, with their checksums verified.</summary>
internal sealed class PngFile
{
    private const int MaxPaletteBytes = 256 * 3;

    private static readonly SearchValues<byte> _letters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    private PngFile(PngHeader header, byte[] palette, List<Range> data, long dataLength)
    {
        Header = header;
        Palette = palette;
        Data = data;
        DataLength = dataLength;
    }

    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    public PngHeader Header { get; }

    /// <summary>Red, green, blue of each palette entry; empty without a palette.</summary>
    public byte[] Palette { get; }

    /// <summary>Where the file holds the content of its IDAT chunks: one zlib stream cut into pieces.</summary>
    public IReadOnlyList<Range> Data { get; }

    /// <summary>Bytes of <see cref="Data"/> together.</summary>
    public long DataLength { get; }

    /// <exception cref="GlipFormatException">Truncated, a wrong checksum, chunks missing or out of order.</exception>
    public static PngFile Parse(ReadOnlySpan<byte> file, DecodeContext context)
    {
        PngHeader? header = null;
        byte[] palette = [];
        List<Range> data = [];
        long dataLength = 0;
        string previous = "";
        for (int position = Signature.Length; ;)
        {
            (string type, Range place) = NextChunk(file, ref position, context);
            ReadOnlySpan<byte> content = file[place];
            if (header is null && type != "IHDR")
                throw context.Corrupt($"the first chunk is {type}, expected IHDR");
            switch (type)
            {
                case "IHDR" when header is null:
                    header = PngHeader.Parse(content, context);
                    break;
                case "PLTE" when palette.Length == 0 && data.Count == 0:
                    if (content.Length is 0 or > MaxPaletteBytes || content.Length % 3 != 0)
                        throw context.Corrupt($"PLTE has {content.Length} bytes, expected 3 for each of 1 to 256 entries");
                    palette = content.ToArray();
                    break;
                case "IDAT" when data.Count == 0 || previous == "IDAT":
                    data.Add(place);
                    dataLength += content.Length;
                    break;
                case "IEND":
                    if (data.Count == 0)
                        throw context.Corrupt("no IDAT chunk");
                    if (header!.Value.Color == PngColor.Palette && palette.Length == 0)
                        throw context.Corrupt("a palette picture without a PLTE chunk");
                    return new PngFile(header.Value, palette, data, dataLength);
                case "IHDR" or "PLTE" or "IDAT":
                    throw context.Corrupt($"a second or misplaced {type} chunk");
                default:
                    // A capital first letter marks chunks without which the picture cannot be understood.
                    if (char.IsAsciiLetterUpper(type[0]))
                        throw context.Corrupt($"unknown critical chunk {type}");
                    break;
            }

            previous = type;
        }
    }

    private static (string Type, Range Content) NextChunk(ReadOnlySpan<byte> file, ref int position, DecodeContext context)
    {
        const int lengthAndType = 8;
        const int checksum = 4;
        ReadOnlySpan<byte> rest = file[position..];
        if (rest.Length < lengthAndType + checksum)
            throw context.Truncated("the file ends before its IEND chunk");
        uint length = BinaryPrimitives.ReadUInt32BigEndian(rest);
        ReadOnlySpan<byte> typeBytes = rest[4..lengthAndType];
        if (typeBytes.ContainsAnyExcept(_letters))
            throw context.Corrupt($"a chunk type of bytes {Convert.ToHexString(typeBytes)}");
        string type = Encoding.ASCII.GetString(typeBytes);
        if (length > rest.Length - lengthAndType - checksum)
            throw context.Truncated($"chunk {type} says {length} bytes, the file has {rest.Length - lengthAndType} more");
        int end = lengthAndType + (int)length;
        uint stored = BinaryPrimitives.ReadUInt32BigEndian(rest[end..]);
        uint computed = Crc32.Of(rest[4..end]);
        if (stored != computed)
            throw context.Corrupt($"chunk {type} has checksum {stored:X8}, its bytes give {computed:X8}");
        int start = position;
        position += end + checksum;
        return (type, (start + lengthAndType)..(start + end));
    }
}
