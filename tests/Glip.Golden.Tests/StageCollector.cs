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

    public ReadOnlySpan<float> Floats(string name) => MemoryMarshal.Cast<byte, float>(_stages[name].Data);

    public ReadOnlySpan<long> Longs(string name) => MemoryMarshal.Cast<byte, long>(_stages[name].Data);

    public ReadOnlySpan<byte> Bytes(string name) => _stages[name].Data;

    public bool Has(string name) => _stages.ContainsKey(name);

    private static int TypeSize(TensorType type) => type switch
    {
        TensorType.U8 => 1,
        TensorType.F32 => 4,
        TensorType.I64 => 8,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "is not a type that traces use"),
    };
}
