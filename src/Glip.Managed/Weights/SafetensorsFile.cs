using System.Buffers;
using System.Buffers.Binary;
using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>
/// Reader of safetensors files. Everything that the header says is checked before the first tensor is handed out, so that a
/// tensor, once found, is whole. Reading is thread-safe.
/// </summary>
internal sealed class SafetensorsFile : IDisposable
{
    private const int LengthBytes = sizeof(ulong);

    private readonly MappedFile? _mapped;
    private readonly ReadOnlyMemory<byte> _memory;
    private readonly SafetensorsHeader _header;
    private readonly Dictionary<string, SafetensorsEntry> _byName;
    private readonly long _dataStart;
    private MemoryHandle _pin;
    private bool _isPinned;

    private SafetensorsFile(MappedFile? mapped, ReadOnlyMemory<byte> memory, string name)
    {
        _mapped = mapped;
        _memory = memory;
        Name = name;
        Length = mapped?.Length ?? memory.Length;
        if (Length < LengthBytes)
            throw new GlipFormatException($"{name}: truncated: a safetensors file begins with {LengthBytes} bytes of header length, the file has {Length}");

        ReadOnlySpan<byte> start = Slice(0, LengthBytes);
        ulong headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (headerBytes > SafetensorsHeader.MaxBytes)
            throw new GlipFormatException($"{name}: {NotSafetensors(start, headerBytes)}");
        _dataStart = LengthBytes + (long)headerBytes;
        if (_dataStart > Length)
            throw new GlipFormatException($"{name}: truncated: the safetensors header ends at byte {_dataStart}, the file has {Length}");

        _header = SafetensorsHeader.Parse(Slice(LengthBytes, (int)headerBytes), Length - _dataStart, name);
        _byName = _header.Entries.ToDictionary(e => e.Name, StringComparer.Ordinal);
    }

    /// <summary>What messages call the file: its path.</summary>
    public string Name { get; }

    /// <summary>Bytes of the whole file.</summary>
    public long Length { get; }

    /// <summary>All tensors in the order of their bytes.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => _header.Entries;

    /// <summary>The free text pairs of the header.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Maps the file at <paramref name="path"/> and checks its header.</summary>
    /// <exception cref="GlipFormatException">It is not a whole, valid safetensors file.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static SafetensorsFile Open(string path)
    {
        var mapped = new MappedFile(path);
        try
        {
            return new SafetensorsFile(mapped, default, path);
        }
        catch
        {
            mapped.Dispose();
            throw;
        }
    }

    /// <summary>Reads a file that is already in memory; the bytes are not copied and must not change.</summary>
    /// <exception cref="GlipFormatException">It is not a whole, valid safetensors file.</exception>
    public static SafetensorsFile FromMemory(ReadOnlyMemory<byte> bytes, string name) => new(null, bytes, name);

    /// <summary>Finds a tensor; its bytes stay valid until this object is disposed.</summary>
    public bool TryGetTensor(string name, out WeightTensor tensor)
    {
        if (!_byName.TryGetValue(name, out SafetensorsEntry? entry))
        {
            tensor = default;
            return false;
        }

        tensor = new WeightTensor(entry.Name, entry.Type, entry.Shape, Slice(_dataStart + entry.Offset, entry.ByteCount));
        return true;
    }

    /// <summary>Finds a tensor for a moment. A mapped file's pages are this process's only for so long.</summary>
    public bool TryLend(string name, out TensorLease lease)
    {
        if (_mapped is null || !_byName.TryGetValue(name, out SafetensorsEntry? entry) || entry.ByteCount == 0)
        {
            bool found = TryGetTensor(name, out WeightTensor whole);
            lease = new TensorLease(whole, null);
            return found;
        }

        MappedPart part = _mapped.Map(_dataStart + entry.Offset, entry.ByteCount);
        lease = new TensorLease(new WeightTensor(entry.Name, entry.Type, entry.Shape, part.Bytes), part);
        return true;
    }

    /// <summary>What the header says of a tensor; null if there is none of this name.</summary>
    public SafetensorsEntry? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>A tensor's bytes as memory that does not move, valid until this object is disposed.</summary>
    public unsafe FixedMemory Fixed(SafetensorsEntry entry)
    {
        if (_mapped is not null)
            return _mapped.Fixed(_dataStart + entry.Offset, entry.ByteCount);
        if (!_isPinned)
            _pin = _memory.Pin();
        _isPinned = true;
        return new FixedMemory(this, (byte*)_pin.Pointer + _dataStart + entry.Offset, entry.ByteCount);
    }

    public void Dispose()
    {
        _mapped?.Dispose();
        _pin.Dispose();
    }

    private ReadOnlySpan<byte> Slice(long offset, int length) =>
        _mapped is null ? _memory.Span.Slice((int)offset, length) : _mapped.Slice(offset, length);

    /// <summary>A header length beyond all limits is another kind of file; the likely ones are named.</summary>
    private static string NotSafetensors(ReadOnlySpan<byte> start, ulong headerBytes)
    {
        const string convert = "; convert it first: glip-weights convert FILE --config … --vocab … --out MODEL.safetensors";
        if (start.StartsWith("PK"u8))
            return "this is a zip archive, probably a PyTorch checkpoint, not a safetensors file" + convert;
        if (start[0] == 0x80 && start[1] is >= 2 and <= 5)
            return "this is a Python pickle, probably an old PyTorch checkpoint, not a safetensors file" + convert;
        return $"not a safetensors file: it would have a header of {headerBytes} bytes, the limit is {SafetensorsHeader.MaxBytes}";
    }
}
