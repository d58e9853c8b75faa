using System.Text.Json;
using Glip.Tests;

namespace Glip.Managed.Tests.Postprocessing;

/// <summary>A recorded operation of the original under tests/data/ops: inputs, outputs and what it says about them.</summary>
internal sealed class OpsFile
{
    private readonly GoldenTensors _tensors;

    public OpsFile(string name)
    {
        _tensors = GoldenTensors.Load(TestData.Path("ops", name + ".safetensors"));
        using var info = JsonDocument.Parse(_tensors.Metadata["info"]);
        Info = info.RootElement.Clone();
    }

    public JsonElement Info { get; }

    public int[] Shape(string tensor) => _tensors[tensor].Shape;

    public float[] Floats(string tensor) => _tensors[tensor].Float.ToArray();

    public int[] Integers(string tensor) => [.. _tensors[tensor].Long.ToArray().Select(v => checked((int)v))];

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
}
