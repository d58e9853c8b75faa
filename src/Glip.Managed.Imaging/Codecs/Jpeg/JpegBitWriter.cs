using System.Numerics;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>Writes entropy-coded data: the highest bits first, a zero byte behind each FF (T.81 F.1.2.3).</summary>
internal sealed class JpegBitWriter(Stream stream)
{
    private readonly byte[] _buffer = new byte[16 * 1024];
    private int _length;
    private ulong _bits;
    private int _count;

    /// <summary>Writes the <paramref name="count"/> lowest bits, 0 to 16, of a value that has no others.</summary>
    public void Write(int value, int count)
    {
        _bits = _bits << count | (uint)value;
        _count += count;
        while (_count >= 8)
        {
            _count -= 8;
            WriteByte((byte)(_bits >> _count));
        }
    }

    /// <summary>Writes a value as its size's code and its bits; <paramref name="run"/> zeros come before it.</summary>
    public void WriteCoefficient(JpegHuffmanCodes codes, int run, int value)
    {
        int size = 32 - BitOperations.LeadingZeroCount((uint)Math.Abs(value));
        codes.Write(this, run << 4 | size);
        Write((value < 0 ? value - 1 : value) & ((1 << size) - 1), size);
    }

    /// <summary>Fills the last byte with ones and writes everything out.</summary>
    public void Finish()
    {
        if (_count > 0)
            Write((1 << (8 - _count)) - 1, 8 - _count);
        stream.Write(_buffer, 0, _length);
        _length = 0;
    }

    private void WriteByte(byte value)
    {
        _buffer[_length++] = value;
        if (value == 0xFF)
            _buffer[_length++] = 0;
        if (_length < _buffer.Length - 1)
            return;
        stream.Write(_buffer, 0, _length);
        _length = 0;
    }
}

/// <summary>A Huffman code for encoding (T.81 annex C).</summary>
internal sealed class JpegHuffmanCodes
{
    private readonly ushort[] _codes = new ushort[256];
    private readonly byte[] _lengths = new byte[256];

    /// <param name="countsAndSymbols">16 counts, then the symbols, as the standard lists them.</param>
    public JpegHuffmanCodes(ReadOnlySpan<byte> countsAndSymbols)
    {
        ReadOnlySpan<byte> symbols = countsAndSymbols[JpegHuffmanTable.CountBytes..];
        int code = 0;
        int index = 0;
        for (int length = 1; length <= JpegHuffmanTable.CountBytes; length++, code <<= 1)
        {
            for (int i = countsAndSymbols[length - 1]; i > 0; i--)
            {
                _codes[symbols[index]] = (ushort)code++;
                _lengths[symbols[index++]] = (byte)length;
            }
        }
    }

    public void Write(JpegBitWriter bits, int symbol) => bits.Write(_codes[symbol], _lengths[symbol]);
}
