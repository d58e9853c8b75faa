using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>The chunks of a PNG file that its pixels depend on, with their checksums verified.</summary>
internal sealed class PngFile
{
    private const int MaxPaletteBytes = 256 * 3;

    private static readonly SearchValues<byte> _letters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    private PngFile(PngHeader header, ReadOnlyMemory<byte> palette, List<ReadOnlyMemory<byte>> data)
    {
        Header = header;
        Palette = palette;
        Data = data;
    }

    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    public PngHeader Header { get; }

    /// <summary>Red, green, blue of each palette entry; empty without a palette.</summary>
    public ReadOnlyMemory<byte> Palette { get; }

    /// <summary>The IDAT chunks: one zlib stream cut into pieces.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Data { get; }

    /// <summary>Bytes of <see cref="Data"/> together.</summary>
    public long DataLength => Data.Sum(piece => (long)piece.Length);

    /// <exception cref="GlipFormatException">Truncated, a wrong checksum, chunks missing or out of order.</exception>
    public static PngFile Parse(ReadOnlyMemory<byte> file, string name)
    {
        PngHeader? header = null;
        ReadOnlyMemory<byte> palette = default;
        List<ReadOnlyMemory<byte>> data = [];
        string previous = "";
        for (ReadOnlyMemory<byte> rest = file[Signature.Length..]; ; )
        {
            (string type, ReadOnlyMemory<byte> content) = NextChunk(ref rest, name);
            if (header is null && type != "IHDR")
                throw Corrupt($"the first chunk is {type}, expected IHDR");
            switch (type)
            {
                case "IHDR" when header is null:
                    header = PngHeader.Parse(content.Span, name);
                    break;
                case "PLTE" when palette.IsEmpty && data.Count == 0:
                    if (content.Length is 0 or > MaxPaletteBytes || content.Length % 3 != 0)
                        throw Corrupt($"PLTE has {content.Length} bytes, expected 3 for each of 1 to 256 entries");
                    palette = content;
                    break;
                case "IDAT" when data.Count == 0 || previous == "IDAT":
                    data.Add(content);
                    break;
                case "IEND":
                    if (data.Count == 0)
                        throw Corrupt("no IDAT chunk");
                    if (header!.Value.Color == PngColor.Palette && palette.IsEmpty)
                        throw Corrupt("a palette picture without a PLTE chunk");
                    return new PngFile(header.Value, palette, data);
                case "IHDR" or "PLTE" or "IDAT":
                    throw Corrupt($"a second or misplaced {type} chunk");
                default:
                    // A capital first letter marks chunks without which the picture cannot be understood.
                    if (char.IsAsciiLetterUpper(type[0]))
                        throw Corrupt($"unknown critical chunk {type}");
                    break;
            }

            previous = type;
        }

        GlipFormatException Corrupt(string what) => new($"{name}: corrupt PNG: {what}");
    }

    private static (string Type, ReadOnlyMemory<byte> Content) NextChunk(ref ReadOnlyMemory<byte> rest, string name)
    {
        const int lengthAndType = 8;
        const int checksum = 4;
        if (rest.Length < lengthAndType + checksum)
            throw new GlipFormatException($"{name}: truncated PNG: the file ends before its IEND chunk");
        ReadOnlySpan<byte> span = rest.Span;
        uint length = BinaryPrimitives.ReadUInt32BigEndian(span);
        ReadOnlySpan<byte> typeBytes = span[4..lengthAndType];
        if (typeBytes.ContainsAnyExcept(_letters))
            throw new GlipFormatException($"{name}: corrupt PNG: a chunk type of bytes {Convert.ToHexString(typeBytes)}");
        string type = Encoding.ASCII.GetString(typeBytes);
        if (length > rest.Length - lengthAndType - checksum)
            throw new GlipFormatException($"{name}: truncated PNG: chunk {type} says {length} bytes, the file has {rest.Length - lengthAndType} more");
        int end = lengthAndType + (int)length;
        uint stored = BinaryPrimitives.ReadUInt32BigEndian(span[end..]);
        uint computed = Crc32.Of(span[4..end]);
        if (stored != computed)
            throw new GlipFormatException($"{name}: corrupt PNG: chunk {type} has checksum {stored:X8}, its bytes give {computed:X8}");
        ReadOnlyMemory<byte> content = rest[lengthAndType..end];
        rest = rest[(end + checksum)..];
        return (type, content);
    }
}
