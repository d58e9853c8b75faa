using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>The CRC of PNG chunks: polynomial EDB88320h, reflected, starting and ending inverted.</summary>
internal struct Crc32
{
    private const int Slices = 8;

    // Entry [k · 256 + b] is the CRC of byte b followed by k zero bytes, which lets eight bytes go through in one step.
    private static readonly uint[] _table = Table();

    private uint _inverted;

    /// <summary>The CRC of everything added so far.</summary>
    public readonly uint Value => _inverted;

    public static uint Of(ReadOnlySpan<byte> data)
    {
        var crc = new Crc32();
        crc.Add(data);
        return crc.Value;
    }

    public void Add(ReadOnlySpan<byte> data)
    {
        uint[] table = _table;
        uint crc = ~_inverted;
        for (; data.Length >= Slices; data = data[Slices..])
        {
            uint low = BinaryPrimitives.ReadUInt32LittleEndian(data) ^ crc;
            uint high = BinaryPrimitives.ReadUInt32LittleEndian(data[4..]);
            crc = table[0x700 + (low & 0xFF)] ^ table[0x600 + ((low >> 8) & 0xFF)] ^ table[0x500 + ((low >> 16) & 0xFF)] ^ table[0x400 + (low >> 24)]
                ^ table[0x300 + (high & 0xFF)] ^ table[0x200 + ((high >> 8) & 0xFF)] ^ table[0x100 + ((high >> 16) & 0xFF)] ^ table[high >> 24];
        }

        foreach (byte b in data)
            crc = table[(crc ^ b) & 0xFF] ^ (crc >> 8);
        _inverted = ~crc;
    }

    private static uint[] Table()
    {
        var table = new uint[Slices * 256];
        for (uint b = 0; b < 256; b++)
        {
            uint crc = b;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
            table[b] = crc;
        }

        for (int i = 256; i < table.Length; i++)
            table[i] = table[table[i - 256] & 0xFF] ^ (table[i - 256] >> 8);
        return table;
    }
}
