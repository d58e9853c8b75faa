using Glip.Kernels;
using Glip.Managed.Model;
using Glip.Managed.Model.Bert;
using Glip.Managed.Model.Fusion;

namespace Glip.Tests.Model.Bert;

public class BertLayerTests
{
    // A masked token's score is this much lower, which its softmax weight does not survive in single precision.
    private const float Masked = -10000;

    public static TheoryData<string, SimdIsa> TextLayers => RecordedLayer.Cases("fusion_bert_layer_mask", "fusion_bert_layer_clamp");

    public static TheoryData<string, SimdIsa> Encoders => RecordedLayer.Cases("bert_backbone_layer");

    [Theory]
    [MemberData(nameof(TextLayers))]
    public void A_text_layer_of_the_tower_equals_the_recording_padding_included(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int tokens = layer.Shape("input")[1];
        var bert = new BertLayer(layer.Weights, Config(layer), VLFuse.Clamp);
        float[] x = layer.Values("input");
        layer.Run(pass => bert.Forward(pass, x, tokens, KeyBias(layer)));
        RecordedLayer.AssertClose(layer.Values("output"), x, 1e-5);
    }

    [Theory]
    [MemberData(nameof(TextLayers))]
    public void Its_real_tokens_are_the_same_without_padding(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int real = layer.Integers("mask").Sum(), width = layer.Shape("input")[2];
        var bert = new BertLayer(layer.Weights, Config(layer), VLFuse.Clamp);
        float[] x = layer.Values("input")[..(real * width)];
        layer.Run(pass => bert.Forward(pass, x, real));
        RecordedLayer.AssertClose(layer.Values("output").AsSpan(0, x.Length), x, 1e-5);
    }

    [Theory]
    [MemberData(nameof(Encoders))]
    public void A_layer_of_the_text_encoder_equals_the_recording_padding_included(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int tokens = layer.Shape("hidden0")[1];
        var bert = new BertLayer(layer.Weights.Under("encoder.layer.0."), Config(layer));
        float[] x = layer.Values("hidden0");
        layer.Run(pass => bert.Forward(pass, x, tokens, KeyBias(layer)));
        RecordedLayer.AssertClose(layer.Values("hidden1"), x, 1e-5);
    }

    [Theory]
    [MemberData(nameof(Encoders))]
    public void The_encoder_of_real_tokens_equals_the_recording_with_padding(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int real = layer.Integers("mask").Sum(), width = layer.Shape("hidden0")[2];
        int[] ids = layer.Integers("ids")[..real];
        var encoder = new BertEncoder(layer.Weights, Config(layer));
        var hidden = new float[real * width];
        layer.Run(pass => encoder.Forward(pass, ids, real, hidden));
        RecordedLayer.AssertClose(layer.Values("hidden1").AsSpan(0, hidden.Length), hidden, 1e-5);
    }

    [Theory]
    [MemberData(nameof(Encoders))]
    public void The_encoder_with_padding_equals_the_recording(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        var encoder = new BertEncoder(layer.Weights, Config(layer));
        float[] hidden = layer.Values("hidden1");
        layer.Run(pass => encoder.Forward(pass, layer.Integers("ids"), layer.Integers("mask").Sum(), hidden));
        RecordedLayer.AssertClose(layer.Values("hidden1"), hidden, 1e-5);
    }

    private static float[] KeyBias(RecordedLayer layer) => [.. layer.Integers("mask").Select(m => m == 1 ? 0 : Masked)];

    private static BertConfig Config(RecordedLayer layer) => new()
    {
        HiddenSize = 24,
        Layers = 1,
        Heads = layer.Size("heads"),
        IntermediateSize = 40,
        VocabularySize = 50,
        MaxPositions = 16,
    };
}
