using System.Diagnostics.CodeAnalysis;
using Glip.Managed;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools.Torch;

/// <summary>
/// The tensors of a checkpoint that <c>torch.save</c> wrote. Only storages that are asked for are read; nothing in the file is ever executed.
/// </summary>
internal sealed class TorchCheckpoint : TensorFile
{
    /// <summary>Where trainers keep the weights: the original's, mmdetection's.</summary>
    private static readonly string[] s_modelKeys = ["model", "state_dict"];

    /// <summary>Where they keep the weights' moving average.</summary>
    private static readonly string[] s_emaKeys = ["model_ema", "ema_state_dict"];

    /// <summary>Views that repeat elements may be this large whatever the file's size.</summary>
    private const int SmallTensor = 1 << 20;

    private readonly FileBytes _file;
    private readonly TorchArchive _archive;
    private readonly Dictionary<string, TorchTensor> _tensors;
    private readonly HashSet<string> _checked = new(StringComparer.Ordinal);
    private readonly bool _ignoreChecksums;

    /// <summary>Takes over <paramref name="file"/> and reads its table of tensors.</summary>
    /// <exception cref="GlipFormatException">It is not such a file, is damaged, or refers to names that are not allowed.</exception>
    public TorchCheckpoint(FileBytes file, TensorFileOptions options)
    {
        _file = file;
        _ignoreChecksums = options.IgnoreChecksums;
        _archive = TorchArchive.Read(file);
        PickleDict root = _archive.Root as PickleDict ?? throw Bad("expected a dict with the model's weights");
        (string? section, PickleDict model) = FindModel(root, options.UseEma);
        if (section is not null)
            SkippedSections = [.. root.Pairs.Select(p => p.Key).OfType<string>().Where(key => key != section).Distinct()];
        _tensors = Tensors(model);
    }

    /// <inheritdoc/>
    public override string Path => _file.Path;

    /// <inheritdoc/>
    public override string Kind => "PyTorch checkpoint";

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <inheritdoc/>
    public override IReadOnlyList<string> SkippedSections { get; } = [];

    /// <summary>Finds a tensor by name.</summary>
    public bool TryGetTensor(string name, [NotNullWhen(true)] out TorchTensor? tensor) => _tensors.TryGetValue(name, out tensor);

    /// <inheritdoc/>
    public override bool TryDescribe(string name, out TensorType type, out int[] shape)
    {
        bool found = _tensors.TryGetValue(name, out TorchTensor? tensor);
        (type, shape) = found ? (tensor!.Storage.Type, tensor.Shape) : (default, []);
        return found;
    }

    /// <inheritdoc/>
    public override Stream OpenTensor(string name)
    {
        TorchTensor tensor = _tensors[name];
        TorchStorage storage = tensor.Storage;
        int size = storage.Type.ByteSize();
        int bytes = storage.Type.ByteCount(tensor.Shape);
        if (bytes < 0)
            throw Bad(name, $"{DisplayText.Shape(tensor.Shape)} is over the limit of {int.MaxValue} bytes a tensor");
        if (tensor.Strides.Length != tensor.Shape.Length || tensor.Strides.Any(s => s < 0))
            throw Bad(name, $"expected {tensor.Shape.Length} strides, none negative, found [{string.Join(',', tensor.Strides)}]");
        if (bytes == 0)
            return Stream.Null;
        if (bytes > Math.Max(SmallTensor, _file.Length))
            throw Bad(name, $"{DisplayText.Shape(tensor.Shape)} has {bytes} bytes, more than the file's {_file.Length}: it repeats elements");

        Int128 last = tensor.Offset;
        for (int i = 0; i < tensor.Shape.Length; i++)
            last += (Int128)(tensor.Shape[i] - 1) * tensor.Strides[i];
        if (tensor.Offset < 0 || last >= storage.Elements)
            throw Bad(name, $"reaches from element {tensor.Offset} to {last} of a storage that has {storage.Elements}");

        StorageBytes place = FindStorage(name, storage);
        long start = place.Offset + tensor.Offset * size;
        long end = place.Offset + ((long)last + 1) * size;
        return IsRowMajor(tensor)
            ? new RunStream(_file, start, bytes)
            : new GatherStream(_file, start, end, size, tensor.Shape, tensor.Strides);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();

    private static bool IsRowMajor(TorchTensor tensor)
    {
        long stride = 1;
        for (int d = tensor.Shape.Length - 1; d >= 0; d--)
        {
            if (tensor.Shape[d] != 1 && tensor.Strides[d] != stride)
                return false;
            stride *= tensor.Shape[d];
        }

        return true;
    }

    /// <summary>The weights are a section of the root, or the root itself.</summary>
    private (string? Section, PickleDict Model) FindModel(PickleDict root, bool useEma)
    {
        foreach (string key in useEma ? s_emaKeys : s_modelKeys)
        {
            if (root.TryGet(key, out object? section))
                return (key, section as PickleDict ?? throw Bad($"'{key}' is not a state dict"));
        }

        return useEma
            ? throw Bad($"there is no moving average of the weights: expected one of {string.Join(", ", s_emaKeys)}")
            : (null, root);
    }

    private Dictionary<string, TorchTensor> Tensors(PickleDict model)
    {
        var tensors = new Dictionary<string, TorchTensor>(StringComparer.Ordinal);
        foreach ((object? key, object? value) in model.Pairs)
        {
            if (key is not string name || value is not TorchTensor tensor)
                continue; // a counter or the like; a parameter among them is reported as missing
            if (!tensors.TryAdd(PlainName(name), tensor))
                throw Bad(PlainName(name), "stands twice (names are compared without 'module.')");
        }

        return tensors;
    }

    /// <summary>Finds a storage, and checks it against its checksum the first time.</summary>
    private StorageBytes FindStorage(string tensor, TorchStorage storage)
    {
        string quoted = DisplayText.Quote(storage.Key);
        if (!_archive.TryFind(storage.Key, out StorageBytes place))
            throw Bad(tensor, $"its storage {quoted} is missing");
        if (place.Length != (Int128)storage.Elements * storage.Type.ByteSize())
            throw Bad(tensor, $"its storage {quoted} should have {storage.Elements} elements of {storage.Type.SafetensorsName()}, found {place.Length} bytes");
        if (place.Checksum is { } checksum && !_ignoreChecksums && _checked.Add(storage.Key) && ComputeChecksum(place) != checksum)
        {
            throw Bad(
                tensor,
                $"its storage {quoted} is damaged: the archive's checksum differs; if PyTorch was told to write no checksums, say --ignore-checksums");
        }

        return place;
    }

    /// <summary>Reads a storage once more than needed, but what was just read comes from the system's cache.</summary>
    private uint ComputeChecksum(StorageBytes place)
    {
        var buffer = new byte[(int)Math.Min(place.Length, 1 << 20)];
        uint checksum = 0;
        for (long at = 0; at < place.Length; at += buffer.Length)
        {
            Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, place.Length - at));
            _file.Read(place.Offset + at, part);
            checksum = Crc32.Append(checksum, part);
        }

        return checksum;
    }

    private GlipFormatException Bad(string what) => new($"{Path}: {what}");

    private GlipFormatException Bad(string tensor, string what) => Bad($"tensor {DisplayText.Quote(tensor)}: {what}");
}
