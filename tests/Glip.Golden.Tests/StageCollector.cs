using System.Runtime.InteropServices;
using Glip.Managed.Diagnostics;
using Glip.Managed.Weights;

namespace Glip.Tests;

/// <summary>Keeps all stages of a trace.</summary>
public sealed class StageCollector : IStageSink
{
    private readonly Dictionary<string, (TensorType Type, int[] Shape, byte[] Data)> _stages = [];

    public IEnumerable<string> Names => _stages.Keys;

    public void Add(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data)
    {
        int count = 1;
        foreach (int size in shape)
            count *= size;
        Assert.Equal(count * TypeSize(type), data.Length);
        _stages.Add(name, (type, shape.ToArray(), data.ToArray()));
    }

    public int[] Shape(string name) => _stages[name].Shape;

    /// <summary>A stage's own memory: tests may spoil it.</summary>
    public Span<float> Floats(string name) => MemoryMarshal.Cast<byte, float>(_stages[name].Data.AsSpan());

    public Span<long> Longs(string name) => MemoryMarshal.Cast<byte, long>(_stages[name].Data.AsSpan());

    public ReadOnlySpan<byte> Bytes(string name) => _stages[name].Data;

    /// <summary>Any stage's elements as floats; the integers of traces are small enough to be exact.</summary>
    public float[] Values(string name) => _stages[name].Type switch
    {
        TensorType.U8 => [.. _stages[name].Data.Select(b => (float)b)],
        TensorType.I64 => [.. Longs(name).ToArray().Select(i => (float)i)],
        _ => Floats(name).ToArray(),
    };

    public bool Has(string name) => _stages.ContainsKey(name);

    public void Remove(string name) => Assert.True(_stages.Remove(name));

    private static int TypeSize(TensorType type) => type switch
    {
        TensorType.U8 => 1,
        TensorType.F32 => 4,
        TensorType.I64 => 8,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "is not a type that traces use"),
    };
}
