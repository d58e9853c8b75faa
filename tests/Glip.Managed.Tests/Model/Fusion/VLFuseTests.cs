using Glip.Kernels;
using Glip.Managed.Model;
using Glip.Managed.Model.Fusion;

namespace Glip.Tests.Model.Fusion;

public class VLFuseTests
{
    public static TheoryData<string, SimdIsa> Cases => RecordedLayer.Cases("bi_attention_nomask", "bi_attention_mask", "bi_attention_clamp");

    [Theory]
    [MemberData(nameof(Cases))]
    public void Both_sides_equal_the_recording_without_its_padding(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int cells = layer.Shape("v")[1], channels = layer.Shape("v")[2];
        int textWidth = layer.Shape("l")[2], tokens = layer.Integers("mask").Sum();
        var config = new FusionConfig { Heads = layer.Size("heads"), EmbedDim = layer.Size("embed_dim") };
        var fuse = new VLFuse(layer.Weights, config, channels, textWidth);
        float[] visual = layer.Values("v"), text = layer.Values("l")[..(tokens * textWidth)];
        layer.Run(pass => fuse.Forward(pass, visual, cells, text, tokens));
        RecordedLayer.AssertClose(layer.Values("out_v"), visual, 1e-5);
        RecordedLayer.AssertClose(layer.Values("out_l").AsSpan(0, text.Length), text, 1e-5);
    }
}
