using System.Buffers.Binary;
using Glip.Managed;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Tensors;

/// <summary>The tensors of a safetensors file, streamed instead of mapped.</summary>
internal sealed class SafetensorsTensors : TensorFile
{
    private readonly FileBytes _file;
    private readonly SafetensorsHeader _header;
    private readonly Dictionary<string, SafetensorsEntry> _byName = new(StringComparer.Ordinal);
    private readonly long _dataStart;

    /// <summary>Takes over <paramref name="file"/> and checks its header.</summary>
    /// <exception cref="GlipFormatException">It is not a whole, valid safetensors file.</exception>
    public SafetensorsTensors(FileBytes file)
    {
        _file = file;
        ulong headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(file.Read(0, sizeof(ulong)));
        if (headerBytes > SafetensorsHeader.MaxBytes)
            throw new GlipFormatException($"{Path}: not a safetensors file: it would have a header of {headerBytes} bytes, the limit is {SafetensorsHeader.MaxBytes}");
        _dataStart = sizeof(ulong) + (long)headerBytes;
        _header = SafetensorsHeader.Parse(file.Read(sizeof(ulong), (int)headerBytes), file.Length - _dataStart, Path);
        foreach (SafetensorsEntry entry in _header.Entries)
        {
            if (!_byName.TryAdd(PlainName(entry.Name), entry))
                throw new GlipFormatException($"{Path}: tensor {DisplayText.Quote(PlainName(entry.Name))}: stands twice (names are compared without 'module.')");
        }
    }

    /// <inheritdoc/>
    public override string Path => _file.Path;

    /// <inheritdoc/>
    public override string Kind => "safetensors file";

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _byName.Keys;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <inheritdoc/>
    public override bool TryDescribe(string name, out TensorType type, out int[] shape)
    {
        bool found = _byName.TryGetValue(name, out SafetensorsEntry? entry);
        (type, shape) = found ? (entry!.Type, entry.Shape) : (default, []);
        return found;
    }

    /// <inheritdoc/>
    public override Stream OpenTensor(string name)
    {
        SafetensorsEntry entry = _byName[name];
        return new RunStream(_file, _dataStart + entry.Offset, entry.ByteCount);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();
}
