using Glip.Kernels;
using Glip.Managed.Model;
using Glip.Managed.Model.Fusion;

namespace Glip.Tests.Model.Fusion;

public class VLFuseTests
{
    public static TheoryData<string, SimdIsa, string, bool> Cases
    {
        get
        {
            var cases = new TheoryData<string, SimdIsa, string, bool>();
            foreach (object[] recording in RecordedLayer.Cases("bi_attention_nomask", "bi_attention_mask", "bi_attention_clamp"))
            {
                foreach (string order in Enum.GetNames<FusionOrder>())
                {
                    cases.Add((string)recording[0], (SimdIsa)recording[1], order, false);
                    cases.Add((string)recording[0], (SimdIsa)recording[1], order, true);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Both_sides_equal_the_recording_in_any_order_with_and_without_its_padding(string name, SimdIsa isa, string order, bool padded)
    {
        using var layer = new RecordedLayer(name, isa);
        int cells = layer.Shape("v")[1], channels = layer.Shape("v")[2], textWidth = layer.Shape("l")[2];
        int attended = layer.Integers("mask").Sum(), tokens = padded ? layer.Shape("l")[1] : attended;
        var config = new FusionConfig { Heads = layer.Size("heads"), EmbedDim = layer.Size("embed_dim") };
        var fuse = new VLFuse(layer.Weights, config, channels, textWidth, Enum.Parse<FusionOrder>(order));
        float[] visual = layer.Values("v"), text = layer.Values("l")[..(tokens * textWidth)];
        layer.Run(pass => fuse.Forward(pass, visual, cells, text, tokens, attended));
        RecordedLayer.AssertClose(layer.Values("out_v"), visual, 1e-5);
        RecordedLayer.AssertClose(layer.Values("out_l").AsSpan(0, text.Length), text, 1e-5);
    }

    [Fact]
    public void The_cheaper_order_is_chosen_by_multiply_adds()
    {
        // 4 heads of 8 on 16 channels: short texts are folded, long ones cost less in the original's order.
        using var layer = new RecordedLayer("bi_attention_nomask", SimdIsas.Best);
        var config = new FusionConfig { Heads = 4, EmbedDim = 32 };
        foreach ((int tokens, FusionOrder expected) in ((int, FusionOrder)[])[(2, FusionOrder.Folded), (12, FusionOrder.Folded), (40, FusionOrder.Plain), (256, FusionOrder.Plain)])
        {
            long cheaper = Count(FusionOrder.Cheaper), folded = Count(FusionOrder.Folded), plain = Count(FusionOrder.Plain);
            Assert.Equal(Math.Min(folded, plain), cheaper);
            Assert.Equal(expected, folded <= plain ? FusionOrder.Folded : FusionOrder.Plain);

            long Count(FusionOrder order)
            {
                long macs = 0;
                var fuse = new VLFuse(layer.Weights, config, 16, 24, order);
                var visual = new float[500 * 16];
                var text = new float[tokens * 24];
                layer.Run(pass =>
                {
                    fuse.Forward(pass, visual, 500, text, tokens, tokens);
                    macs = pass.Kernels.MultiplyAdds;
                });
                return macs;
            }
        }
    }
}
