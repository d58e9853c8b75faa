using System.Buffers.Binary;
using System.Text;
using Glip.Managed;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools.Torch;

/// <summary>An entry of a zip archive, stored without compression: a run of the file's bytes.</summary>
/// <param name="Name">Path in the archive.</param>
/// <param name="Offset">First byte in the file.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Checksum">CRC-32 that the bytes should have.</param>
internal sealed record ZipEntry(string Name, long Offset, long Length, uint Checksum);

/// <summary>
/// The table of contents of a zip archive as torch writes it: no compression, no encryption, 64-bit sizes where needed. Whatever another zip
/// reader could understand differently is refused: entries that overlap, that stand twice, or whose two headers disagree.
/// </summary>
internal static class ZipDirectory
{
    private const uint EndSignature = 0x06054B50;
    private const uint End64Signature = 0x06064B50;
    private const uint End64LocatorSignature = 0x07064B50;
    private const uint CentralSignature = 0x02014B50;
    private const uint LocalSignature = 0x04034B50;
    private const int EndBytes = 22;
    private const int End64Bytes = 56;
    private const int End64LocatorBytes = 20;
    private const int CentralBytes = 46;
    private const int LocalBytes = 30;
    private const ushort Zip64Extra = 1;
    private const ushort In64Bits16 = ushort.MaxValue;
    private const uint In64Bits = uint.MaxValue;

    /// <summary>A GLIP-L checkpoint with its optimiser's state has 5 000.</summary>
    private const int MaxEntries = 100_000;
    private const int MaxDirectoryBytes = 32 * 1024 * 1024;

    /// <summary>Reads and checks the table of contents.</summary>
    /// <exception cref="GlipFormatException">It is damaged, or not an archive as torch writes it.</exception>
    public static IReadOnlyDictionary<string, ZipEntry> Read(FileBytes file)
    {
        try
        {
            (long offset, int bytes, int count) = FindDirectory(file);
            List<Header> headers = ReadHeaders(file.Read(offset, bytes), count);
            return Locate(file, headers, offset);
        }
        catch (GlipFormatException e) when (!e.Message.StartsWith(file.Path, StringComparison.Ordinal))
        {
            throw new GlipFormatException($"{file.Path}: {e.Message}", e);
        }
    }

    /// <summary>The end records say where the directory is. They must be the file's last bytes, with or without a comment.</summary>
    private static (long Offset, int Bytes, int Count) FindDirectory(FileBytes file)
    {
        int tailBytes = (int)Math.Min(file.Length, End64Bytes + End64LocatorBytes + EndBytes + ushort.MaxValue);
        ReadOnlySpan<byte> tail = file.Read(file.Length - tailBytes, tailBytes);
        int end = tail.Length - EndBytes;
        while (end >= 0 && !(U32(tail, end) == EndSignature && U16(tail, end + 20) == tail.Length - end - EndBytes))
            end--;
        if (end < 0)
            throw Bad("no end record at the end of the file");
        if (U16(tail, end + 4) is not (0 or In64Bits16) || U16(tail, end + 6) is not (0 or In64Bits16))
            throw Bad("the archive is in several parts");

        long count = U16(tail, end + 10);
        long bytes = U32(tail, end + 12);
        long offset = U32(tail, end + 16);
        int records = end; // where the end records begin
        if (end >= End64LocatorBytes && U32(tail, end - End64LocatorBytes) == End64LocatorSignature)
        {
            records = end - End64LocatorBytes - End64Bytes;
            if (records < 0 || U64(tail, end - End64LocatorBytes + 8) != file.Length - tail.Length + records || U32(tail, records) != End64Signature)
                throw Bad("the 64-bit end record is not where it should be");
            count = count == In64Bits16 ? U64(tail, records + 32) : count;
            bytes = bytes == In64Bits ? U64(tail, records + 40) : bytes;
            offset = offset == In64Bits ? U64(tail, records + 48) : offset;
        }

        if (count is < 0 or > MaxEntries)
            throw Bad($"expected at most {MaxEntries} entries, found {count}");
        if (bytes is < 0 or > MaxDirectoryBytes)
            throw Bad($"expected a directory of at most {MaxDirectoryBytes} bytes, found {bytes}");
        if (offset < 0 || offset != file.Length - tail.Length + records - bytes)
            throw Bad("the directory does not end where the end record begins");
        return (offset, (int)bytes, (int)count);
    }

    private static List<Header> ReadHeaders(ReadOnlySpan<byte> directory, int count)
    {
        var headers = new List<Header>();
        int at = 0;
        for (int i = 0; i < count; i++)
        {
            if (directory.Length - at < CentralBytes || U32(directory, at) != CentralSignature)
                throw Bad($"entry {i} of {count} is missing in the directory");
            int name = U16(directory, at + 28), extra = U16(directory, at + 30), comment = U16(directory, at + 32);
            int next = at + CentralBytes + name + extra + comment;
            if (next > directory.Length)
                throw Bad($"entry {i} of {count} reaches beyond the directory");

            ReadOnlySpan<byte> rawName = directory.Slice(at + CentralBytes, name);
            string quoted = DisplayText.Quote(Encoding.UTF8.GetString(rawName));
            if ((U16(directory, at + 8) & 1) != 0)
                throw Bad($"entry {quoted} is encrypted");
            if (U16(directory, at + 10) is not 0 and var method)
                throw Bad($"entry {quoted} is compressed (method {method}), which torch never does: expected stored entries");

            long size = U32(directory, at + 24), stored = U32(directory, at + 20), offset = U32(directory, at + 42);
            ReadZip64(directory.Slice(at + CentralBytes + name, extra), quoted, ref size, ref stored, ref offset);
            if (size != stored || size < 0)
                throw Bad($"entry {quoted} has {size} bytes in {stored} although it is not compressed");
            headers.Add(new Header(Encoding.UTF8.GetString(rawName), name, offset, size, U32(directory, at + 16)));
            at = next;
        }

        return at == directory.Length ? headers : throw Bad($"{directory.Length - at} bytes follow the last entry in the directory");
    }

    /// <summary>Sizes beyond 32 bits stand in an extra field, only those and in this order.</summary>
    private static void ReadZip64(ReadOnlySpan<byte> extra, string quoted, ref long size, ref long stored, ref long offset)
    {
        if (size != In64Bits && stored != In64Bits && offset != In64Bits)
            return;
        while (extra.Length >= 4)
        {
            ushort kind = U16(extra, 0), length = U16(extra, 2);
            if (length > extra.Length - 4)
                break;
            ReadOnlySpan<byte> field = extra.Slice(4, length);
            extra = extra[(4 + length)..];
            if (kind != Zip64Extra)
                continue;
            if (Take(ref size, ref field) && Take(ref stored, ref field) && Take(ref offset, ref field))
                return;
            break;
        }

        throw Bad($"entry {quoted} lacks its 64-bit sizes");

        static bool Take(ref long value, ref ReadOnlySpan<byte> field)
        {
            if (value != In64Bits)
                return true;
            if (field.Length < sizeof(long))
                return false;
            value = U64(field, 0);
            field = field[sizeof(long)..];
            return true;
        }
    }

    /// <summary>Finds where each entry's bytes begin, behind its second header, and checks that none reaches into another.</summary>
    private static Dictionary<string, ZipEntry> Locate(FileBytes file, List<Header> headers, long directory)
    {
        headers.Sort((a, b) => a.Offset.CompareTo(b.Offset));
        var entries = new Dictionary<string, ZipEntry>(headers.Count, StringComparer.Ordinal);
        Span<byte> local = stackalloc byte[LocalBytes + ushort.MaxValue];
        long end = 0;
        foreach (Header header in headers)
        {
            string quoted = DisplayText.Quote(header.Name);
            int name = header.NameBytes;
            if (header.Offset < end)
                throw Bad($"entry {quoted} overlaps another");
            if (header.Offset > directory - LocalBytes - name)
                throw Bad($"entry {quoted} begins behind the entries");
            file.Read(header.Offset, local[..(LocalBytes + name)]);
            if (U32(local, 0) != LocalSignature || U16(local, 26) != name || Encoding.UTF8.GetString(local.Slice(LocalBytes, name)) != header.Name)
                throw Bad($"entry {quoted} has another header at byte {header.Offset}");
            if (U16(local, 8) != 0)
                throw Bad($"entry {quoted} is compressed by one of its headers");

            long start = header.Offset + LocalBytes + name + U16(local, 28);
            if (header.Length > directory - start)
                throw Bad($"entry {quoted} reaches beyond the entries");
            if (!entries.TryAdd(header.Name, new ZipEntry(header.Name, start, header.Length, header.Checksum)))
                throw Bad($"entry {quoted} stands twice");
            end = start + header.Length;
        }

        return entries;
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    /// <summary>A size, which nobody writes beyond 63 bits: read as negative, it is refused.</summary>
    private static long U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);

    private static GlipFormatException Bad(string what) => new($"damaged zip archive, or truncated: {what}");

    private readonly record struct Header(string Name, int NameBytes, long Offset, long Length, uint Checksum);
}
