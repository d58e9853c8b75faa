using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Glip.Managed;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools.Torch;

/// <summary>Where a storage's elements lie in the file.</summary>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Checksum">CRC-32 that the bytes should have; null where the format has none.</param>
internal readonly record struct StorageBytes(long Offset, long Length, uint? Checksum);

/// <summary>
/// The two forms of what <c>torch.save</c> writes, reduced to the object that was saved and the places of its storages: a zip archive (PyTorch 1.6 and
/// later), or pickles followed by raw storages (before 1.6).
/// </summary>
internal sealed class TorchArchive
{
    private const string PickleEntry = "data.pkl";
    private const int MaxPickleBytes = 32 * 1024 * 1024;

    /// <summary>What files before 1.6 begin with, as a pickled number.</summary>
    private static readonly BigInteger s_legacyMagic = BigInteger.Parse("119547037146038801333356", System.Globalization.CultureInfo.InvariantCulture);

    private readonly Dictionary<string, StorageBytes> _storages = new(StringComparer.Ordinal);

    private TorchArchive(object? root) => Root = root;

    /// <summary>What was saved.</summary>
    public object? Root { get; }

    /// <summary>Whether a file begins as one of the two forms does.</summary>
    public static bool IsLikely(ReadOnlySpan<byte> start) => start.StartsWith("PK"u8) || start is [0x80, >= 2 and <= 5, ..];

    /// <summary>Reads the object and the table of storages, but no storage.</summary>
    /// <exception cref="GlipFormatException">It is damaged, or refers to names that are not allowed.</exception>
    public static TorchArchive Read(FileBytes file)
    {
        Span<byte> start = stackalloc byte[2];
        start = start[..(int)Math.Min(start.Length, file.Length)];
        file.Read(0, start);
        return start.StartsWith("PK"u8) ? ReadZip(file) : ReadLegacy(file);
    }

    /// <summary>Finds a storage by the key that tensors know it by.</summary>
    public bool TryFind(string key, out StorageBytes storage) => _storages.TryGetValue(key, out storage);

    private static TorchArchive ReadZip(FileBytes file)
    {
        IReadOnlyDictionary<string, ZipEntry> entries = ZipDirectory.Read(file);

        // <root>/data.pkl, with any name for the root, or none.
        string[] pickles = [.. entries.Keys.Where(name => name == PickleEntry || name.EndsWith("/" + PickleEntry, StringComparison.Ordinal)).Take(2)];
        if (pickles.Length != 1)
            throw Bad(file, $"not a PyTorch checkpoint: expected one {PickleEntry} in the archive, found {(pickles.Length == 0 ? "none" : "several")}");
        string root = pickles[0][..^PickleEntry.Length];
        if (entries.TryGetValue(root + "byteorder", out ZipEntry? order) && Encoding.UTF8.GetString(ReadEntry(file, order, 100)) is not "little" and var found)
            throw Bad(file, $"byteorder must be 'little', found {DisplayText.Quote(found)}");

        byte[] pickle = ReadEntry(file, entries[pickles[0]], MaxPickleBytes);
        var archive = new TorchArchive(Unpickle(file, PickleEntry, pickle, out _));
        string data = root + "data/";
        foreach (ZipEntry entry in entries.Values.Where(e => e.Name.StartsWith(data, StringComparison.Ordinal)))
            archive._storages.Add(entry.Name[data.Length..], new StorageBytes(entry.Offset, entry.Length, entry.Checksum));
        return archive;
    }

    /// <summary>Five pickles (a magic number, a version, the machine, the object, the storages' keys), then for each key its length and elements.</summary>
    private static TorchArchive ReadLegacy(FileBytes file)
    {
        ReadOnlyMemory<byte> rest = file.Read(0, (int)Math.Min(file.Length, MaxPickleBytes));
        int position = 0;
        if (Next("magic number") is not BigInteger magic || magic != s_legacyMagic)
            throw Bad(file, "a Python pickle, but not one that PyTorch wrote: its magic number is missing");
        if (Next("version") is not 1001L)
            throw Bad(file, "a PyTorch checkpoint of another version, expected 1001");
        if (Next("machine") is not PickleDict machine || !machine.TryGet("little_endian", out object? little) || little is not true)
            throw Bad(file, "a PyTorch checkpoint of a big-endian machine, or damaged: expected little_endian");

        object? root = Next("object");
        if (Next("list of storages") is not PickleList keys)
            throw Bad(file, "damaged: the list of storages is missing");
        var archive = new TorchArchive(root);
        Dictionary<string, TorchStorage> used = StoragesOf(file, root);
        long offset = position;
        foreach (object? item in keys.Items)
        {
            if (item is not string key || !used.TryGetValue(key, out TorchStorage? storage))
                throw Bad(file, "damaged: the list of storages has one that no tensor uses");
            long elements = BinaryPrimitives.ReadInt64LittleEndian(file.Read(offset, sizeof(long)));
            offset += sizeof(long);
            int size = storage.Type.ByteSize();
            if (elements < 0 || elements > (file.Length - offset) / size)
                throw Bad(file, $"truncated: storage {DisplayText.Quote(key)} has {elements} elements of {storage.Type.SafetensorsName()}, {file.Length - offset} bytes are left");
            if (!archive._storages.TryAdd(key, new StorageBytes(offset, elements * size, null)))
                throw Bad(file, $"damaged: storage {DisplayText.Quote(key)} stands twice");
            offset += elements * size;
        }

        return offset == file.Length ? archive : throw Bad(file, $"damaged: {file.Length - offset} bytes follow the last storage");

        object? Next(string what)
        {
            object? value = Unpickle(file, what, rest, out int length);
            rest = rest[length..];
            position += length;
            return value;
        }
    }

    /// <summary>The storages that an object's tensors look into. Their types say how long the file's runs of elements are.</summary>
    private static Dictionary<string, TorchStorage> StoragesOf(FileBytes file, object? root)
    {
        var storages = new Dictionary<string, TorchStorage>(StringComparer.Ordinal);
        foreach (TorchStorage storage in PickleGraph.Leaves(root).Select(leaf => leaf is TorchTensor tensor ? tensor.Storage : leaf).OfType<TorchStorage>())
        {
            if (!storages.TryAdd(storage.Key, storage) && storages[storage.Key].Type != storage.Type)
                throw Bad(file, $"storage {DisplayText.Quote(storage.Key)} is used with two types");
        }

        return storages;
    }

    private static object? Unpickle(FileBytes file, string what, ReadOnlyMemory<byte> pickle, out int length)
    {
        try
        {
            return PickleReader.Read(pickle, out length);
        }
        catch (GlipFormatException e)
        {
            throw new GlipFormatException($"{file.Path}: {what} {e.Message}", e);
        }
    }

    private static byte[] ReadEntry(FileBytes file, ZipEntry entry, int limit)
    {
        if (entry.Length > limit)
            throw Bad(file, $"entry {DisplayText.Quote(entry.Name)}: expected at most {limit} bytes, found {entry.Length}");
        byte[] bytes = file.Read(entry.Offset, (int)entry.Length);
        return Crc32.Append(0, bytes) == entry.Checksum
            ? bytes
            : throw Bad(file, $"entry {DisplayText.Quote(entry.Name)} is damaged: its checksum differs");
    }

    private static GlipFormatException Bad(FileBytes file, string what) => new($"{file.Path}: {what}");
}
