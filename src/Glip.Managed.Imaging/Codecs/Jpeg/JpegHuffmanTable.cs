namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>A Huffman code for decoding: short codes by table, long ones by comparing with the last code of each length (T.81 annexes C and F.2.2.3).</summary>
internal sealed class JpegHuffmanTable
{
    /// <summary>Bits that one table access looks at.</summary>
    public const int LookaheadBits = 10;

    /// <summary>Bytes of the list of code counts that precedes the symbols.</summary>
    public const int CountBytes = 16;

    private const int EndOfBlockSkip = 64;

    private readonly byte[] _symbols;
    private readonly ushort[] _lookup = new ushort[1 << LookaheadBits]; // length · 256 + symbol, or 0

    // For codes of each length, aligned to 16 bits: the first value behind them, and what leads from a code to its symbol.
    private readonly int[] _end = new int[CountBytes + 1];
    private readonly int[] _offset = new int[CountBytes + 1];

    private int[]? _coefficients;

    private JpegHuffmanTable(byte[] symbols) => _symbols = symbols;

    /// <summary>Makes a table of how many codes there are of each length, and of the symbols in the order of their codes.</summary>
    /// <returns>Null if the lengths do not make a code.</returns>
    public static JpegHuffmanTable? TryCreate(ReadOnlySpan<byte> counts, ReadOnlySpan<byte> symbols)
    {
        var table = new JpegHuffmanTable(symbols.ToArray());
        int code = 0;
        int index = 0;
        for (int length = 1; length <= CountBytes; length++)
        {
            int count = counts[length - 1];
            table._offset[length] = index - code;
            if (code + count > 1 << length)
                return null;
            if (length <= LookaheadBits)
            {
                int repeat = 1 << (LookaheadBits - length);
                for (int i = 0; i < count; i++)
                    table._lookup.AsSpan((code + i) * repeat, repeat).Fill((ushort)(length << 8 | symbols[index + i]));
            }

            code += count;
            index += count;
            table._end[length] = code << (CountBytes - length);
            code <<= 1;
        }

        return table;
    }

    /// <summary>A table of the form in which the standard and the DHT segment list it: 16 counts, then the symbols.</summary>
    public static JpegHuffmanTable Create(ReadOnlySpan<byte> countsAndSymbols) =>
        TryCreate(countsAndSymbols[..CountBytes], countsAndSymbols[CountBytes..])
        ?? throw new ArgumentException("the code lengths do not make a code", nameof(countsAndSymbols));

    /// <summary>
    /// For the next <see cref="LookaheadBits"/> bits of a sequential block: value · 65536 + zeros before it · 256 + bits used
    /// by code and value together; 0 where they are not all within reach. The end of a block has 64 zeros before it.
    /// </summary>
    public ReadOnlySpan<int> Coefficients => _coefficients ??= CoefficientLookup();

    /// <summary>Whether a decoded entry of <see cref="Coefficients"/> ends the block.</summary>
    public static bool EndsBlock(int skip) => skip >= EndOfBlockSkip;

    public bool HasSymbolAbove(int largest) => _symbols.AsSpan().ContainsAnyInRange((byte)(largest + 1), byte.MaxValue);

    /// <summary>The code at the top of <paramref name="bits"/>: its length · 256 + its symbol, or 0 if there is none.</summary>
    public int Find(ulong bits)
    {
        int entry = _lookup[(int)(bits >> (64 - LookaheadBits))];
        return entry != 0 ? entry : FindLong((int)(bits >> 48));
    }

    private int FindLong(int code)
    {
        for (int length = LookaheadBits + 1; length <= CountBytes; length++)
        {
            if (code < _end[length])
                return length << 8 | _symbols[_offset[length] + (code >> (CountBytes - length))];
        }

        return 0;
    }

    private int[] CoefficientLookup()
    {
        var entries = new int[1 << LookaheadBits];
        for (int bits = 0; bits < entries.Length; bits++)
        {
            int length = _lookup[bits] >> 8;
            int run = (_lookup[bits] >> 4) & 15;
            int size = _lookup[bits] & 15;
            if (length == 0 || length + size > LookaheadBits)
                continue;
            if (size != 0)
            {
                int value = bits >> (LookaheadBits - length - size) & ((1 << size) - 1);
                entries[bits] = JpegBitReader.Extend(value, size) << 16 | run << 8 | (length + size);
            }
            else if (run == 15)
            {
                entries[bits] = run << 8 | length; // sixteen zeros: fifteen, and a value of 0
            }
            else if (run == 0)
            {
                entries[bits] = EndOfBlockSkip << 8 | length;
            }
        }

        return entries;
    }
}
