using System.Buffers.Binary;
using System.Collections;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Glip.Tests;

/// <summary>Tensors of a golden safetensors file. Independent of the library's reader, so that neither can hide the other's mistakes.</summary>
public sealed class GoldenTensors : IReadOnlyDictionary<string, GoldenTensor>
{
    private readonly Dictionary<string, GoldenTensor> _tensors = [];

    private GoldenTensors(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        int headerLength = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(file));
        using JsonDocument header = JsonDocument.Parse(file.AsMemory(8, headerLength));
        foreach (JsonProperty entry in header.RootElement.EnumerateObject())
        {
            if (entry.Name == "__metadata__")
            {
                Metadata = entry.Value.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!);
                continue;
            }

            int[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(d => d.GetInt32())];
            int[] offsets = [.. entry.Value.GetProperty("data_offsets").EnumerateArray().Select(d => d.GetInt32())];
            byte[] bytes = file[(8 + headerLength + offsets[0])..(8 + headerLength + offsets[1])];
            _tensors.Add(entry.Name, new GoldenTensor(entry.Value.GetProperty("dtype").GetString()!, shape, bytes));
        }
    }

    /// <summary>The file's <c>__metadata__</c>; the goldens keep a JSON description under "info".</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    public int Count => _tensors.Count;

    public IEnumerable<string> Keys => _tensors.Keys;

    public IEnumerable<GoldenTensor> Values => _tensors.Values;

    public GoldenTensor this[string key] => _tensors[key];

    public static GoldenTensors Load(string path) => new(path);

    public bool ContainsKey(string key) => _tensors.ContainsKey(key);

    public bool TryGetValue(string key, [System.Diagnostics.CodeAnalysis.MaybeNullWhen(false)] out GoldenTensor value) => _tensors.TryGetValue(key, out value);

    public IEnumerator<KeyValuePair<string, GoldenTensor>> GetEnumerator() => _tensors.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>One tensor: safetensors' type name, shape and little-endian bytes.</summary>
public sealed record GoldenTensor(string Type, int[] Shape, byte[] Bytes)
{
    /// <summary>Elements of a U8 or BOOL tensor.</summary>
    public ReadOnlySpan<byte> Byte => Type is "U8" or "BOOL" ? Bytes : throw Mismatch("U8");

    /// <summary>Elements of an F32 tensor.</summary>
    public ReadOnlySpan<float> Float => Cast<float>("F32");

    /// <summary>Elements of an F64 tensor.</summary>
    public ReadOnlySpan<double> Double => Cast<double>("F64");

    /// <summary>Elements of an I64 tensor.</summary>
    public ReadOnlySpan<long> Long => Cast<long>("I64");

    /// <summary>Elements of an I32 tensor.</summary>
    public ReadOnlySpan<int> Int => Cast<int>("I32");

    private ReadOnlySpan<T> Cast<T>(string type) where T : struct =>
        Type == type ? MemoryMarshal.Cast<byte, T>(Bytes) : throw Mismatch(type);

    private InvalidOperationException Mismatch(string wanted) => new($"the tensor is {Type}, the test wants {wanted}");
}
