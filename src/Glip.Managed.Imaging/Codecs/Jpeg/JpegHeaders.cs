using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>What the segments before and between scans have defined so far.</summary>
internal sealed class JpegHeaders(DecodeContext context)
{
    private const int TableSlots = 4;

    private static readonly JpegHuffmanTable _luminanceDc = JpegHuffmanTable.Create(JpegTables.LuminanceDc);
    private static readonly JpegHuffmanTable _chrominanceDc = JpegHuffmanTable.Create(JpegTables.ChrominanceDc);
    private static readonly JpegHuffmanTable _luminanceAc = JpegHuffmanTable.Create(JpegTables.LuminanceAc);
    private static readonly JpegHuffmanTable _chrominanceAc = JpegHuffmanTable.Create(JpegTables.ChrominanceAc);

    private readonly int[]?[] _quantization = new int[]?[TableSlots];

    // Frames of motion JPEG leave the tables out when they are those of annex K.
    private readonly JpegHuffmanTable?[] _dc = [_luminanceDc, _chrominanceDc, null, null];
    private readonly JpegHuffmanTable?[] _ac = [_luminanceAc, _chrominanceAc, null, null];
    private bool _exifSeen;

    public JpegFrame? Frame { get; private set; }

    /// <summary>MCUs between restart markers; 0 means that there are none.</summary>
    public int RestartInterval { get; private set; }

    /// <summary>Whether a JFIF segment was seen, which fixes what three components mean.</summary>
    public bool IsJfif { get; private set; }

    /// <summary>The color transform that an Adobe segment names: 0 none, 1 YCbCr, 2 YCCK; null without one.</summary>
    public int? AdobeTransform { get; private set; }

    /// <summary>EXIF orientation, 1 to 8.</summary>
    public int Orientation { get; private set; } = 1;

    /// <summary>Takes one segment; those that do not matter for pixels are passed over.</summary>
    /// <exception cref="GlipFormatException">The segment is corrupt, or needs what this decoder does not have.</exception>
    public void Read(byte marker, ReadOnlySpan<byte> content)
    {
        switch (marker)
        {
            case JpegMarker.QuantizationTables:
                ReadQuantization(content);
                break;
            case JpegMarker.HuffmanTables:
                ReadHuffman(content);
                break;
            case JpegMarker.RestartInterval:
                if (content.Length != 2)
                    throw context.Corrupt($"a restart interval of {content.Length} bytes, expected 2");
                RestartInterval = BinaryPrimitives.ReadUInt16BigEndian(content);
                break;
            case JpegMarker.ArithmeticConditioning:
                throw context.Unsupported("arithmetic coding");
            case JpegMarker.Hierarchy:
                throw context.Unsupported("hierarchical JPEG");
            case JpegMarker.App0:
                IsJfif |= content.Length >= 14 && content.StartsWith("JFIF\0"u8);
                break;
            case JpegMarker.App1 when !_exifSeen && content.StartsWith("Exif\0"u8):
                _exifSeen = true;
                Orientation = ExifOrientation.Parse(content[Math.Min(6, content.Length)..]);
                break;
            case JpegMarker.App14 when content.Length >= 12 && content.StartsWith("Adobe"u8):
                AdobeTransform = content[11];
                break;
            default:
                if (!JpegMarker.IsFrame(marker))
                    break;
                if (Frame is not null)
                    throw context.Corrupt("a second frame header");
                Frame = JpegFrame.Parse(marker, content, context);
                break;
        }
    }

    /// <summary>Quantization table <paramref name="id"/>, row-major.</summary>
    /// <exception cref="GlipFormatException">It was not defined.</exception>
    public int[] Quantization(int id) => Defined(_quantization, id, "quantization");

    /// <summary>DC Huffman table <paramref name="id"/>.</summary>
    /// <exception cref="GlipFormatException">It was not defined.</exception>
    public JpegHuffmanTable DcTable(int id) => Defined(_dc, id, "DC Huffman");

    /// <summary>AC Huffman table <paramref name="id"/>.</summary>
    /// <exception cref="GlipFormatException">It was not defined.</exception>
    public JpegHuffmanTable AcTable(int id) => Defined(_ac, id, "AC Huffman");

    private void ReadQuantization(ReadOnlySpan<byte> content)
    {
        while (!content.IsEmpty)
        {
            int sampleBytes = (content[0] >> 4) switch { 0 => 1, 1 => 2, _ => 0 };
            int id = content[0] & 15;
            int length = 1 + JpegTables.BlockSize * sampleBytes;
            if (sampleBytes == 0 || id >= TableSlots || content.Length < length)
                throw context.Corrupt($"quantization table {id} of {content[0] >> 4} precision in {content.Length} bytes");
            var table = new int[JpegTables.BlockSize];
            for (int i = 0; i < table.Length; i++)
                table[JpegTables.ZigZag[i]] = sampleBytes == 1 ? content[1 + i] : BinaryPrimitives.ReadUInt16BigEndian(content[(1 + 2 * i)..]);
            _quantization[id] = table;
            content = content[length..];
        }
    }

    private void ReadHuffman(ReadOnlySpan<byte> content)
    {
        while (!content.IsEmpty)
        {
            int kind = content[0] >> 4;
            int id = content[0] & 15;
            int symbols = 0;
            foreach (byte count in content[1..Math.Min(content.Length, 1 + JpegHuffmanTable.CountBytes)])
                symbols += count;
            int length = 1 + JpegHuffmanTable.CountBytes + symbols;
            if (kind > 1 || id >= TableSlots || symbols > 256 || content.Length < length)
                throw context.Corrupt($"Huffman table {id} of kind {kind} with {symbols} symbols in {content.Length} bytes");
            JpegHuffmanTable table = JpegHuffmanTable.TryCreate(content[1..(1 + JpegHuffmanTable.CountBytes)], content[(1 + JpegHuffmanTable.CountBytes)..length])
                ?? throw context.Corrupt($"the code lengths of Huffman table {id} do not make a code");
            if (kind == 0 && table.HasSymbolAbove(15))
                throw context.Corrupt($"DC Huffman table {id} has a difference of more than 15 bits");
            (kind == 0 ? _dc : _ac)[id] = table;
            content = content[length..];
        }
    }

    private T Defined<T>(T?[] tables, int id, string kind) where T : class =>
        (id < TableSlots ? tables[id] : null) ?? throw context.Corrupt($"{kind} table {id} is used but not defined");
}
