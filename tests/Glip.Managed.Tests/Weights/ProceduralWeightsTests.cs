using System.Text;
using System.Text.Json;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.Tests.Weights;

public class ProceduralWeightsTests
{
    // The check values were made by the generator that made the golden data, which is another program.
    [Fact]
    public void The_hash_and_its_mix_have_their_check_values()
    {
        Assert.Equal(0x3160CFC8453C5395ul, ProceduralWeights.Fnv1a("rpn.head.bias_lang"));
        Assert.Equal(0x3CCFE32C2FC9F11Aul, ProceduralWeights.Mix(0x3160CFC8453C5395 ^ 0x9E3779B97F4A7C15));
    }

    [Theory]
    [InlineData("rpn.head.bias_lang", 1, new[] { 0.15616846084594727f, -0.4388406276702881f, -0.3072028160095215f, -0.36095941066741943f })]
    [InlineData(
        "backbone.body.patch_embed.proj.weight", 1, new[] { -0.19437143206596375f, -0.12420931458473206f, 0.190863698720932f, -0.017852187156677246f })]
    [InlineData("rpn.head.scales.0.scale", 12, new[] { 0.8155149817466736f })]
    public void Full_size_weights_have_their_check_values(string name, long seed, float[] expected)
    {
        using var weights = new ProceduralWeights(GlipConfig.Published("glip-t"), seed, default);
        Assert.True(weights.TryGetTensor(name, out WeightTensor tensor));
        Assert.Equal(expected, TensorConversion.ReadSingles(tensor)[..expected.Length]);
    }

    [Fact]
    public void A_small_model_equals_its_checkpoint_bit_for_bit()
    {
        const string model = "micro_b";
        byte[] json = File.ReadAllBytes(TestData.Path(model, "config.json"));
        using JsonDocument document = JsonDocument.Parse(json);
        long seed = document.RootElement.GetProperty("seed").GetInt64();
        using var weights = new ProceduralWeights(GlipConfig.Parse(json, model), seed, default);
        using TensorFile checkpoint = TensorFile.Open(TestData.Path(model, model + ".pth"));

        Assert.Equal($"procedural:{model}:{seed}", weights.Name);
        Assert.NotEmpty(weights.TensorNames);
        foreach (string name in weights.TensorNames)
        {
            Assert.True(weights.TryGetTensor(name, out WeightTensor tensor));
            Assert.True(tensor.Bytes.SequenceEqual(checkpoint.Read(name)), name);
        }
    }

    [Fact]
    public void Other_names_are_not_found()
    {
        using var weights = new ProceduralWeights(GlipConfig.Published("glip-t-a"), 1, default);
        Assert.False(weights.TryGetTensor("rpn.head.cls_logits.weight", out _));
        Assert.False(weights.TryGetTensor("rpn.head.dyhead_tower.0.b_attn.gamma_v", out _));
    }

    [Fact]
    public void A_seed_changes_every_tensor()
    {
        GlipConfig config = GlipConfig.Parse(File.ReadAllBytes(TestData.Path("micro_b", "config.json")), "micro_b");
        using var first = new ProceduralWeights(config, 77, default);
        using var second = new ProceduralWeights(config, -77, default);
        foreach (string name in first.TensorNames)
        {
            Assert.True(first.TryGetTensor(name, out WeightTensor a));
            Assert.True(second.TryGetTensor(name, out WeightTensor b));
            Assert.False(a.Bytes.SequenceEqual(b.Bytes), name);
        }
    }

    [Fact]
    public void A_vocabulary_may_be_shorter_than_the_table_but_not_longer()
    {
        GlipConfig config = GlipConfig.Published("glip-t");
        GlipConfig small = config with { Bert = config.Bert with { VocabularySize = 3 } };
        using (var weights = new ProceduralWeights(small, 1, Encoding.UTF8.GetBytes("a\nb")))
            Assert.Equal("a\nb", Encoding.UTF8.GetString(weights.Vocabulary.Span));
        Refusal.Expect<ArgumentException>(
            "the model has 3 tokens, the vocabulary 4",
            () => new ProceduralWeights(small, 1, Encoding.UTF8.GetBytes("a\nb\nc\nd\n")));
    }
}
