using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>A tensor that a <see cref="SafetensorsWriter"/> is going to be given.</summary>
internal sealed record TensorDeclaration(string Name, TensorType Type, int[] Shape);

/// <summary>
/// Writes a safetensors file tensor by tensor or in smaller parts, so that none need be in memory whole. The file appears with
/// <see cref="Commit"/>; without it nothing is left behind.
/// </summary>
internal sealed class SafetensorsWriter : IDisposable
{
    private readonly IReadOnlyList<TensorDeclaration> _tensors;
    private readonly OutputFile _file;
    private int _written;
    private int _partBytes; // of the tensor that is not written whole yet

    /// <summary>Begins a file.</summary>
    /// <param name="path">Where the finished file will be; an existing one is replaced.</param>
    /// <param name="tensors">All tensors in the order in which they will be written.</param>
    /// <param name="metadata">Free text pairs for the header.</param>
    /// <exception cref="ArgumentException">A name stands twice or a tensor is too large.</exception>
    /// <exception cref="IOException">No file can be written there.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not write there.</exception>
    public SafetensorsWriter(string path, IReadOnlyList<TensorDeclaration> tensors, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        byte[] header = Header(tensors, metadata);
        _tensors = tensors;
        _file = new OutputFile(path);
        try
        {
            _file.Stream.Write(header);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Writes the next tensor, or the next part of one that is written in parts.</summary>
    /// <param name="name">The name that was declared, as a check of the order.</param>
    /// <param name="bytes">All elements, little-endian and row-major, or those that follow the last part.</param>
    /// <exception cref="ArgumentException">It is not this tensor's turn, or the bytes are more than declared.</exception>
    public void Write(string name, ReadOnlySpan<byte> bytes)
    {
        if (_written == _tensors.Count)
            throw new ArgumentException($"all {_written} declared tensors are written, got '{name}'", nameof(name));
        TensorDeclaration next = _tensors[_written];
        if (next.Name != name)
            throw new ArgumentException($"the next declared tensor is '{next.Name}', got '{name}'", nameof(name));
        int expected = next.Type.ByteCount(next.Shape);
        if (bytes.Length > expected - _partBytes)
        {
            throw new ArgumentException(
                $"'{name}': {next.Type} {DisplayText.Shape(next.Shape)} needs {expected} bytes, got {_partBytes + bytes.Length}", nameof(bytes));
        }

        _file.Stream.Write(bytes);
        _partBytes += bytes.Length;
        if (_partBytes == expected)
            (_written, _partBytes) = (_written + 1, 0);
    }

    /// <summary>Ends the file and moves it into place.</summary>
    /// <exception cref="InvalidOperationException">A declared tensor was not written.</exception>
    public void Commit()
    {
        if (_written != _tensors.Count)
            throw new InvalidOperationException($"tensor '{_tensors[_written].Name}' was declared but not written, or not whole");
        _file.Commit();
    }

    public void Dispose() => _file.Dispose();

    private static byte[] Header(IReadOnlyList<TensorDeclaration> tensors, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        buffer.Write(stackalloc byte[sizeof(ulong)]); // the length, filled in last
        // Quotes inside the configuration stay readable in the file; nothing here is ever put into HTML.
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            WriteMetadata(json, metadata);
            WriteTensors(json, tensors);
            json.WriteEndObject();
        }

        // Spaces up to a cache line, so that the first tensor is aligned in a mapped file.
        int padding = -buffer.WrittenCount & (FixedMemory.LineBytes - 1);
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);

        byte[] header = buffer.WrittenSpan.ToArray();
        if (header.Length - sizeof(ulong) > SafetensorsHeader.MaxBytes)
            throw new ArgumentException($"the header has {header.Length} bytes, the format's limit is {SafetensorsHeader.MaxBytes}", nameof(tensors));
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)(header.Length - sizeof(ulong)));
        return header;
    }

    private static void WriteMetadata(Utf8JsonWriter json, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        json.WriteStartObject("__metadata__");
        foreach ((string key, string value) in metadata)
            json.WriteString(key, value);
        json.WriteEndObject();
    }

    private static void WriteTensors(Utf8JsonWriter json, IReadOnlyList<TensorDeclaration> tensors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal) { "__metadata__" };
        long offset = 0;
        foreach (TensorDeclaration tensor in tensors)
        {
            if (!names.Add(tensor.Name))
                throw new ArgumentException($"'{tensor.Name}' stands twice or is reserved", nameof(tensors));
            int bytes = tensor.Type.ByteCount(tensor.Shape);
            if (bytes < 0)
                throw new ArgumentException($"'{tensor.Name}': shape {DisplayText.Shape(tensor.Shape)} is negative or over {int.MaxValue} bytes", nameof(tensors));
            json.WriteStartObject(tensor.Name);
            json.WriteString("dtype", tensor.Type.SafetensorsName());
            json.WriteStartArray("shape");
            foreach (int dimension in tensor.Shape)
                json.WriteNumberValue(dimension);
            json.WriteEndArray();
            json.WriteStartArray("data_offsets");
            json.WriteNumberValue(offset);
            json.WriteNumberValue(offset += bytes);
            json.WriteEndArray();
            json.WriteEndObject();
        }
    }
}
