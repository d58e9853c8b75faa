using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Glip.Tests;

namespace Glip.Managed.Tests.Postprocessing;

/// <summary>A recorded operation of the original under tests/data/ops (safetensors): inputs, outputs and what it says about them.</summary>
internal sealed class OpsFile
{
    private readonly byte[] _bytes;
    private readonly JsonElement _header;
    private readonly int _dataStart;

    public OpsFile(string name)
    {
        _bytes = File.ReadAllBytes(TestData.Path("ops", name + ".safetensors"));
        int headerLength = checked((int)BinaryPrimitives.ReadInt64LittleEndian(_bytes));
        _dataStart = 8 + headerLength;
        using var header = JsonDocument.Parse(_bytes.AsMemory(8, headerLength));
        _header = header.RootElement.Clone();
        using var info = JsonDocument.Parse(_header.GetProperty("__metadata__").GetProperty("info").GetString()!);
        Info = info.RootElement.Clone();
    }

    public JsonElement Info { get; }

    public int[] Shape(string tensor) => [.. _header.GetProperty(tensor).GetProperty("shape").EnumerateArray().Select(d => d.GetInt32())];

    public float[] Floats(string tensor) => MemoryMarshal.Cast<byte, float>(Data(tensor, "F32")).ToArray();

    public int[] Integers(string tensor) => [.. MemoryMarshal.Cast<byte, long>(Data(tensor, "I64")).ToArray().Select(v => checked((int)v))];

    /// <summary>A [n, 4] tensor as boxes.</summary>
    public Box[] Boxes(string tensor) => [.. Floats(tensor).Chunk(4).Select(c => new Box(c[0], c[1], c[2], c[3]))];

    /// <summary>Boxes, scores and labels of a list of detections.</summary>
    public ScoredBox[] Detections(string boxes, string scores, string labels)
    {
        var corners = Boxes(boxes);
        var score = Floats(scores);
        var label = Integers(labels);
        return [.. corners.Select((b, i) => new ScoredBox(b.X1, b.Y1, b.X2, b.Y2, score[i], label[i]))];
    }

    private ReadOnlySpan<byte> Data(string tensor, string type)
    {
        var entry = _header.GetProperty(tensor);
        Assert.Equal(type, entry.GetProperty("dtype").GetString());
        var offsets = entry.GetProperty("data_offsets");
        int begin = offsets[0].GetInt32();
        return _bytes.AsSpan(_dataStart + begin, offsets[1].GetInt32() - begin);
    }
}
