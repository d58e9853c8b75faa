using Glip.Kernels;
using Glip.Managed.Model;
using Glip.Managed.Model.DyHead;

namespace Glip.Tests.Model.DyHead;

public class DyConvTests
{
    private const int Levels = 5;

    public static TheoryData<string, SimdIsa> Cases => RecordedLayer.Cases("dyconv_5levels");

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_level_equals_the_recording(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int[] shape = layer.Shape("input.P3");
        int channels = shape[1];
        var pyramid = new Pyramid(new MapSize(shape[2], shape[3]), Levels);
        var dyConv = new DyConv(layer.Weights, channels, groups: 16);
        float[] x = [.. Enumerable.Range(0, Levels).SelectMany(level => layer.Map($"input.{Pyramid.Name(level)}"))];
        var y = new float[x.Length];
        layer.Run(pass => dyConv.Forward(pass, x, pyramid, y));
        for (int level = 0; level < Levels; level++)
            RecordedLayer.AssertClose(layer.Map($"output.{Pyramid.Name(level)}"), pyramid.Level(y.AsSpan(), level, channels), 1e-5);
    }
}
