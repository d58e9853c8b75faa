using Glip.Kernels;
using Glip.Managed.Model.DyHead;

namespace Glip.Tests.Model.DyHead;

public class DyReluTests
{
    public static TheoryData<string, SimdIsa> Cases => RecordedLayer.Cases("dyrelu");

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_equals_the_recording(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int[] shape = layer.Shape("input");
        int channels = shape[1], cells = shape[2] * shape[3];
        float[] x = layer.Map("input"), lines = new float[4 * channels];
        float[] means = [.. Enumerable.Range(0, channels).Select(c => (float)Enumerable.Range(0, cells).Average(cell => (double)x[(cell * channels) + c]))];
        var relu = new DyRelu(layer.Weights, channels);
        layer.Run(pass => relu.Lines(pass, means, lines));
        float[] y = [.. x.Select((value, i) => MathF.Max(Line(value, i % channels, 0), Line(value, i % channels, 2)))];
        RecordedLayer.AssertClose(layer.Map("output"), y, 1e-5);

        float Line(float value, int channel, int row) => (value * lines[(row * channels) + channel]) + lines[((row + 1) * channels) + channel];
    }
}
