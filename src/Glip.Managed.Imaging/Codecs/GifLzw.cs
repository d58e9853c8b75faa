namespace Glip.Managed.Imaging.Codecs;

/// <summary>The compression of GIF: codes for strings of indices, each a known string and one index more.</summary>
internal sealed class GifLzw
{
    private const int MaxCodeBits = 12;

    private readonly DecodeContext _context;
    private readonly int _literalBits;
    private readonly ushort[] _prefix = new ushort[1 << MaxCodeBits]; // the string without its last index
    private readonly byte[] _last = new byte[1 << MaxCodeBits];
    private readonly byte[] _first = new byte[1 << MaxCodeBits];
    private readonly ushort[] _length = new ushort[1 << MaxCodeBits];

    /// <exception cref="GlipFormatException">Indices of an impossible size.</exception>
    public GifLzw(int literalBits, DecodeContext context)
    {
        if (literalBits is < 1 or > 8)
            throw context.Corrupt($"indices of {literalBits} bits, expected 1 to 8");
        _literalBits = literalBits;
        _context = context;
        for (int i = 0; i < 1 << literalBits; i++)
        {
            _last[i] = _first[i] = (byte)i;
            _length[i] = 1;
        }
    }

    /// <summary>Decodes until all indices are there or the end code comes; the indices behind it stay as they were.</summary>
    /// <param name="data">Blocks, each behind its length.</param>
    /// <param name="indices">Receives the indices.</param>
    /// <exception cref="GlipFormatException">A code that does not exist, or the data ends without the end code.</exception>
    public void Decode(ReadOnlySpan<byte> data, Span<byte> indices)
    {
        int clear = 1 << _literalBits;
        int end = clear + 1;
        int next = end + 1;
        int codeBits = _literalBits + 1;
        int previous = -1;
        int written = 0;
        uint bits = 0;
        int bitCount = 0;
        int blockLeft = 0;
        int position = 0;
        while (written < indices.Length)
        {
            for (; bitCount < codeBits; bitCount += 8)
            {
                if (blockLeft == 0)
                {
                    if (position >= data.Length || data[position] == 0)
                        throw _context.Truncated($"the data ends after {written} of {indices.Length} pixels");
                    blockLeft = data[position++];
                }

                if (position >= data.Length)
                    throw _context.Truncated($"the data ends after {written} of {indices.Length} pixels");
                bits |= (uint)data[position++] << bitCount;
                blockLeft--;
            }

            int code = (int)(bits & ((1u << codeBits) - 1));
            bits >>= codeBits;
            bitCount -= codeBits;
            if (code == clear)
            {
                next = end + 1;
                codeBits = _literalBits + 1;
                previous = -1;
                continue;
            }

            if (code == end)
                return;
            if (previous < 0)
            {
                if (code > end)
                    throw _context.Corrupt($"code {code} after a clear code, expected an index");
            }
            else
            {
                // A code may be the very string that it completes.
                if (code > next || (code == next && next == _prefix.Length))
                    throw _context.Corrupt($"code {code}, only {next} are known");
                if (next < _prefix.Length)
                {
                    _prefix[next] = (ushort)previous;
                    _first[next] = _first[previous];
                    _last[next] = _first[code == next ? previous : code];
                    _length[next] = (ushort)(_length[previous] + 1);
                    next++;
                    if (next == 1 << codeBits && codeBits < MaxCodeBits)
                        codeBits++;
                }
            }

            int length = Math.Min(_length[code], indices.Length - written);
            int tail = code;
            for (int surplus = _length[code] - length; surplus > 0; surplus--)
                tail = _prefix[tail];
            for (int i = written + length - 1; i >= written; i--)
            {
                indices[i] = _last[tail];
                tail = _prefix[tail];
            }

            written += length;
            previous = code;
        }
    }
}
