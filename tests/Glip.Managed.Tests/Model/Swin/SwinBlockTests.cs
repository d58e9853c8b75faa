using Glip.Kernels;
using Glip.Managed.Model;
using Glip.Managed.Model.Swin;

namespace Glip.Tests.Model.Swin;

public class SwinBlockTests
{
    /// <summary>Maps that windows do not divide, shifted and not, both published window sizes, and a map smaller than its window.</summary>
    public static TheoryData<string, SimdIsa> Cases => RecordedLayer.Cases(
        "swin_block_win7_noshift_pad", "swin_block_win7_shift_pad", "swin_block_win7_shift_small", "swin_block_win12_shift_pad");

    [Theory]
    [MemberData(nameof(Cases))]
    public void It_equals_the_recording(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        var block = new SwinBlock(layer.Weights, layer.Size("dim"), layer.Size("heads"), layer.Size("window"), shifted: layer.Size("shift") > 0);
        float[] x = layer.Values("input");
        layer.Run(pass => block.Forward(pass, x, new MapSize(layer.Size("H"), layer.Size("W"))));
        RecordedLayer.AssertClose(layer.Values("output"), x, 1e-5);
    }
}
