using System.Buffers.Binary;
using System.Text;
using Glip.WeightsTools.Tensors;

namespace Glip.Tests.Weights.Torch;

/// <summary>An entry to write. What is null is as it should be.</summary>
internal sealed record RawEntry(string Name, byte[] Bytes)
{
    public uint? Checksum { get; init; }

    public ushort Method { get; init; }

    public ushort Flags { get; init; }

    /// <summary>Name in the header before the bytes.</summary>
    public string? LocalName { get; init; }

    /// <summary>Where the directory says that the entry begins.</summary>
    public uint? Offset { get; init; }

    /// <summary>Compressed size that the directory says.</summary>
    public uint? StoredLength { get; init; }
}

/// <summary>Zip archives byte by byte, as torch writes them (64-bit sizes, padding before the bytes) and as it never would.</summary>
internal static class RawZip
{
    private const uint In64Bits = uint.MaxValue;

    /// <param name="zip64">All sizes and offsets as 64-bit numbers, as files over 4 GB have them.</param>
    /// <param name="entries">In order.</param>
    public static byte[] Write(bool zip64, params IEnumerable<RawEntry> entries)
    {
        var file = new List<byte>();
        var directory = new List<byte>();
        int count = 0;
        foreach (RawEntry entry in entries)
        {
            count++;
            uint start = entry.Offset ?? (uint)file.Count;
            uint checksum = entry.Checksum ?? Crc32.Append(0, entry.Bytes);
            uint length = (uint)entry.Bytes.Length;
            byte[] name = Encoding.UTF8.GetBytes(entry.Name), localName = Encoding.UTF8.GetBytes(entry.LocalName ?? entry.Name);
            byte[] padding = [(byte)'F', (byte)'B', 5, 0, 0, 0, 0, 0, 0];
            file.AddRange([
                .. U32(0x04034B50), .. U16(45), .. U16(entry.Flags), .. U16(entry.Method), .. U32(0), .. U32(checksum), .. U32(length), .. U32(length),
                .. U16(localName.Length), .. U16(padding.Length), .. localName, .. padding, .. entry.Bytes,
            ]);
            uint stored = entry.StoredLength ?? length;
            byte[] extra = zip64 ? [.. U16(7), .. U16(1), 0, .. U16(1), .. U16(24), .. U64(length), .. U64(stored), .. U64(start)] : [];
            directory.AddRange([
                .. U32(0x02014B50), .. U16(45), .. U16(45), .. U16(entry.Flags), .. U16(entry.Method), .. U32(0), .. U32(checksum),
                .. U32(zip64 ? In64Bits : stored), .. U32(zip64 ? In64Bits : length), .. U16(name.Length), .. U16(extra.Length), .. U16(0), .. U16(0), .. U16(0),
                .. U32(0), .. U32(zip64 ? In64Bits : start), .. name, .. extra,
            ]);
        }

        int at = file.Count, end64 = file.Count + directory.Count;
        file.AddRange(directory);
        if (zip64)
        {
            file.AddRange([.. U32(0x06064B50), .. U64(44), .. U16(45), .. U16(45), .. U32(0), .. U32(0), .. U64(count), .. U64(count), .. U64(directory.Count), .. U64(at)]);
            file.AddRange([.. U32(0x07064B50), .. U32(0), .. U64(end64), .. U32(1)]);
        }

        int narrow = zip64 ? 0xFFFF : count;
        file.AddRange([
            .. U32(0x06054B50), .. U16(0), .. U16(0), .. U16(narrow), .. U16(narrow), .. U32(zip64 ? In64Bits : (uint)directory.Count), .. U32(zip64 ? In64Bits : (uint)at), .. U16(0),
        ]);
        return [.. file];
    }

    private static byte[] U16(int value) => [(byte)value, (byte)(value >> 8)];

    private static byte[] U32(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }

    private static byte[] U64(long value) => [.. U32((uint)value), .. U32((uint)(value >> 32))];
}
