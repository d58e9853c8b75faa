using System.Diagnostics.CodeAnalysis;
using System.IO.Compression;
using System.Text;
using Glip.Managed;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Torch;

/// <summary>
/// Reader of checkpoints that <c>torch.save</c> wrote (PyTorch 1.6 and later): a zip archive of a pickle and the storages it
/// refers to. Only storages that are asked for are read; nothing in the file is ever executed.
/// </summary>
/// <remarks>Not thread-safe.</remarks>
internal sealed class TorchCheckpoint : IDisposable
{
    /// <summary>Where a trainer's checkpoint keeps the weights.</summary>
    public const string ModelKey = "model";

    private const string ModulePrefix = "module.";
    private const string PickleEntry = "data.pkl";
    private const int MaxPickleBytes = 64 * 1024 * 1024;

    private readonly FileStream _stream;
    private readonly ZipArchive _archive;
    private readonly string _root;
    private readonly Dictionary<string, TorchTensor> _tensors;
    private (string Key, byte[] Bytes) _lastStorage = ("", []);

    private TorchCheckpoint(FileStream stream)
    {
        _stream = stream;
        Path = stream.Name;
        RequireZip();
        _archive = Zip(() => new ZipArchive(stream, ZipArchiveMode.Read));
        _root = FindRoot();
        RequireLittleEndian();

        PickleDict root = ReadRoot();
        Sections = [.. root.Pairs.Select(p => p.Key).OfType<string>().Distinct()];
        PickleDict model = root;
        if (root.TryGet(ModelKey, out object? inner))
            model = inner as PickleDict ?? throw Bad($"'{ModelKey}' is not a state dict");
        else
            Sections = [];
        _tensors = Tensors(model);
    }

    /// <summary>The file's full path, for messages.</summary>
    public string Path { get; }

    /// <summary>The root's keys (<c>model</c>, <c>optimizer</c>, …); empty if the file holds a bare state dict.</summary>
    public IReadOnlyList<string> Sections { get; }

    /// <summary>Names of the model's tensors without a <c>module.</c> prefix, in the file's order.</summary>
    public IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>Opens a checkpoint and reads its table of tensors.</summary>
    /// <exception cref="GlipFormatException">It is not such a file, is damaged, or refers to names that are not allowed.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static TorchCheckpoint Open(string path)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        try
        {
            return new TorchCheckpoint(stream);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Finds a tensor by name.</summary>
    public bool TryGetTensor(string name, [NotNullWhen(true)] out TorchTensor? tensor) => _tensors.TryGetValue(name, out tensor);

    /// <summary>Reads a tensor's elements, row-major, in the type that the file has.</summary>
    /// <exception cref="GlipFormatException">Its storage is missing, of another size, or too small for the view.</exception>
    public byte[] Read(string name)
    {
        TorchTensor tensor = _tensors[name];
        int size = tensor.Storage.Type.ByteSize();
        int bytes = tensor.Storage.Type.ByteCount(tensor.Shape);
        if (bytes < 0)
            throw Bad(name, $"{DisplayText.Shape(tensor.Shape)} is over the limit of {int.MaxValue} bytes a tensor");
        if (tensor.Strides.Length != tensor.Shape.Length || tensor.Strides.Any(s => s < 0))
            throw Bad(name, $"expected {tensor.Shape.Length} strides, none negative, found [{string.Join(',', tensor.Strides)}]");
        if (bytes == 0)
            return [];

        Int128 last = tensor.Offset;
        for (int i = 0; i < tensor.Shape.Length; i++)
            last += (Int128)(tensor.Shape[i] - 1) * tensor.Strides[i];
        if (tensor.Offset < 0 || last >= tensor.Storage.Elements)
            throw Bad(name, $"reaches from element {tensor.Offset} to {last} of a storage that has {tensor.Storage.Elements}");

        byte[] storage = ReadStorage(name, tensor.Storage);
        var elements = new byte[bytes];
        Gather(storage, tensor, size, elements);
        return elements;
    }

    public void Dispose()
    {
        _archive.Dispose();
        _stream.Dispose();
    }

    /// <summary>Copies the view's elements in row-major order: inner dimensions that lie together at once, the others by counting.</summary>
    private static void Gather(byte[] storage, TorchTensor tensor, int size, Span<byte> elements)
    {
        int[] shape = tensor.Shape;
        int outer = shape.Length;
        int run = 1;
        while (outer > 0 && (shape[outer - 1] == 1 || tensor.Strides[outer - 1] == run))
            run *= shape[--outer];

        Span<int> index = new int[outer];
        long source = tensor.Offset;
        for (int target = 0; target < elements.Length; target += run * size)
        {
            storage.AsSpan((int)(source * size), run * size).CopyTo(elements[target..]);
            for (int d = outer - 1; d >= 0; d--)
            {
                source += tensor.Strides[d];
                if (++index[d] < shape[d])
                    break;
                source -= tensor.Strides[d] * shape[d];
                index[d] = 0;
            }
        }
    }

    private byte[] ReadStorage(string name, TorchStorage storage)
    {
        // Tensors that share a storage follow each other in a state dict.
        if (_lastStorage.Key == storage.Key)
            return Sized(_lastStorage.Bytes);
        ZipArchiveEntry entry = _archive.GetEntry($"{_root}data/{storage.Key}")
            ?? throw Bad(name, $"its storage {DisplayText.Quote(storage.Key)} is missing");
        _lastStorage = ("", []);
        byte[] bytes = Sized(ReadEntry(entry, Array.MaxLength));
        _lastStorage = (storage.Key, bytes);
        return bytes;

        byte[] Sized(byte[] found)
        {
            if (found.Length == (Int128)storage.Elements * storage.Type.ByteSize())
                return found;
            string expected = $"{storage.Elements} elements of {storage.Type.SafetensorsName()}";
            throw Bad(name, $"its storage {DisplayText.Quote(storage.Key)} should have {expected}, found {found.Length} bytes");
        }
    }

    private void RequireZip()
    {
        Span<byte> start = stackalloc byte[4];
        int count = _stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        _stream.Position = 0;
        start = start[..count];
        if (start.StartsWith("PK"u8))
            return;
        if (start is [0x80, >= 2 and <= 5, ..])
            throw Bad("this is a bare pickle, as PyTorch wrote before 1.6; load it with PyTorch and save it again, then convert");
        throw Bad("not a PyTorch checkpoint: expected a zip archive");
    }

    private string FindRoot()
    {
        // <root>/data.pkl, with any name for the root.
        string[] found = [.. Zip(() => _archive.Entries).Select(e => e.FullName).Where(n => n[(n.IndexOf('/') + 1)..] == PickleEntry)];
        return found.Length == 1
            ? found[0][..^PickleEntry.Length]
            : throw Bad($"not a PyTorch checkpoint: expected one {PickleEntry} in the archive, found {found.Length}");
    }

    private void RequireLittleEndian()
    {
        if (_archive.GetEntry(_root + "byteorder") is not { } entry)
            return; // written before the entry existed
        string order = Encoding.UTF8.GetString(ReadEntry(entry, 100));
        if (order != "little")
            throw Bad($"byteorder must be 'little', found {DisplayText.Quote(order)}");
    }

    private PickleDict ReadRoot()
    {
        byte[] pickle = ReadEntry(_archive.GetEntry(_root + PickleEntry)!, MaxPickleBytes);
        object? root;
        try
        {
            root = PickleReader.Read(pickle);
        }
        catch (GlipFormatException e)
        {
            throw new GlipFormatException($"{Path}: {PickleEntry} {e.Message}", e);
        }

        return root as PickleDict ?? throw Bad("expected a dict with the model's weights");
    }

    private Dictionary<string, TorchTensor> Tensors(PickleDict model)
    {
        var tensors = new Dictionary<string, TorchTensor>(StringComparer.Ordinal);
        foreach ((object? key, object? value) in model.Pairs)
        {
            if (key is not string name || value is not TorchTensor tensor)
                continue; // a counter or the like; a parameter among them is reported as missing
            string plain = name.StartsWith(ModulePrefix, StringComparison.Ordinal) ? name[ModulePrefix.Length..] : name;
            if (!tensors.TryAdd(plain, tensor))
                throw Bad(plain, $"stands twice (names are compared without '{ModulePrefix}')");
        }

        return tensors;
    }

    private byte[] ReadEntry(ZipArchiveEntry entry, int limit)
    {
        // torch stores without compression, so an entry cannot be larger than its file: no room for a zip bomb.
        if (entry.Length != entry.CompressedLength || entry.Length > _stream.Length || entry.Length > limit)
        {
            throw Bad(
                $"entry {DisplayText.Quote(entry.FullName)}: expected at most {Math.Min(limit, _stream.Length)} bytes, uncompressed, " +
                $"found {entry.Length} bytes in {entry.CompressedLength}");
        }

        return Zip(() =>
        {
            var bytes = new byte[entry.Length];
            using Stream content = entry.Open();
            content.ReadExactly(bytes);
            return bytes;
        });
    }

    /// <summary>Damaged archives surface as several exceptions of the archive reader.</summary>
    private T Zip<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is InvalidDataException or IOException or NotSupportedException or ArgumentException)
        {
            throw new GlipFormatException($"{Path}: damaged zip archive, or truncated: {e.Message}", e);
        }
    }

    private GlipFormatException Bad(string what) => new($"{Path}: {what}");

    private GlipFormatException Bad(string tensor, string what) => Bad($"tensor {DisplayText.Quote(tensor)}: {what}");
}
