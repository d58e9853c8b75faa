using System.Buffers.Binary;

namespace Glip.WeightsTools.Tensors;

/// <summary>The checksum of zip archives, eight bytes a step: gigabytes are checked on the way.</summary>
internal static class Crc32
{
    private const uint Polynomial = 0xEDB88320; // bits in reverse order
    private const int Slices = 8;

    private static readonly uint[] s_tables = Tables();

    /// <summary>Goes on from the checksum of what came before (0 at the start).</summary>
    public static uint Append(uint checksum, ReadOnlySpan<byte> bytes)
    {
        uint[] t = s_tables;
        uint crc = ~checksum;
        for (; bytes.Length >= Slices; bytes = bytes[Slices..])
        {
            uint low = BinaryPrimitives.ReadUInt32LittleEndian(bytes) ^ crc;
            uint high = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            crc = t[(7 << 8) + (byte)low] ^ t[(6 << 8) + (byte)(low >> 8)] ^ t[(5 << 8) + (byte)(low >> 16)] ^ t[(4 << 8) + (int)(low >> 24)]
                ^ t[(3 << 8) + (byte)high] ^ t[(2 << 8) + (byte)(high >> 8)] ^ t[(1 << 8) + (byte)(high >> 16)] ^ t[(int)(high >> 24)];
        }

        foreach (byte b in bytes)
            crc = t[(byte)(crc ^ b)] ^ (crc >> 8);
        return ~crc;
    }

    /// <summary>Table k, at 256 k, is the effect of a byte that k more bytes follow.</summary>
    private static uint[] Tables()
    {
        var tables = new uint[Slices << 8];
        for (uint b = 0; b < 256; b++)
        {
            uint crc = b;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? (crc >> 1) ^ Polynomial : crc >> 1;
            tables[b] = crc;
        }

        for (int i = 256; i < tables.Length; i++)
            tables[i] = (tables[i - 256] >> 8) ^ tables[(byte)tables[i - 256]];
        return tables;
    }
}
