using Glip.Managed.Model;
using Glip.Managed.Weights;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Tests.Weights;

public class ModelSummaryTests
{
    [Fact]
    public void It_counts_by_part_and_type_without_reading_a_weight()
    {
        using var source = new FewShapes();

        string text = Text(ModelSummary.Of(source));

        Assert.Contains("glip-l, few.safetensors", text, StringComparison.Ordinal);
        Assert.Contains("width 192, blocks 2-2-18-2", text, StringComparison.Ordinal);
        Assert.Contains("3 tokens known, at most 256 in a prompt", text, StringComparison.Ordinal);
        Assert.Contains("shorter side 800, longer side at most 1333", text, StringComparison.Ordinal);
        Assert.Matches(@"tensors +4 \(3 F32, 1 F16\), 2\.4 kB", text);
        Assert.Matches(@"parameters +1,208", text);
        Assert.Matches(@"image backbone +1,200", text);
        Assert.Matches(@"FPN +0", text);
        Assert.Matches(@"text encoder +2 ", text);
        Assert.Matches(@"tower +5", text);
        Assert.Matches(@"rest +1\b", text);
    }

    [Fact]
    public void A_model_file_is_summarised_without_its_vocabulary()
    {
        List<Tensor> tensors = [.. Tensors(), VocabularyTensor()];
        int half = tensors.FindIndex(t => t.Name == "rpn.head.bias0");
        tensors[half] = tensors[half] with { Type = TensorType.F16, Bytes = new byte[2] };
        using ModelFile model = ModelFile.FromMemory(ModelBytes(tensors, Metadata()), "x");

        ModelSummary summary = ModelSummary.Of(model);

        Assert.Equal(Tensors().Sum(t => t.Bytes.Length / 4), summary.Parameters);
        Assert.Equal(Tensors().Sum(t => t.Bytes.Length) - 2, summary.Bytes);
        Assert.Equal(summary.Parameters, summary.Parts.Sum(p => p.Parameters));
        foreach ((_, string prefix, long parameters) in summary.Parts.SkipLast(1))
            Assert.Equal(Tensors().Where(t => t.Name.StartsWith(prefix, StringComparison.Ordinal)).Sum(t => t.Bytes.Length / 4), parameters);
        Assert.Equal([(TensorType.F32, tensors.Count - 2), (TensorType.F16, 1)], summary.Types);
        Assert.Equal(5, summary.Tokens);
        Assert.Contains("fusion          2 heads, inner width 4", Text(summary), StringComparison.Ordinal);
    }

    [Fact]
    public void A_formula_has_the_summary_of_the_file_that_would_hold_it()
    {
        using var formula = new ProceduralWeights(Config, 3, VocabularyBytes);
        using ModelFile file = ModelFile.FromMemory(ModelBytes(), "procedural:tiny:3");

        Assert.Equal(Text(ModelSummary.Of(file)), Text(ModelSummary.Of(formula)));
        Assert.False(formula.TryDescribe("rpn.head.cls_logits.weight", out _, out _));
        Assert.False(file.TryDescribe("rpn.head.cls_logits.weight", out _, out _));
    }

    [Theory]
    [InlineData(0, 1333, "picture size    kept\n")]
    [InlineData(256, 0, "picture size    shorter side 256\n")]
    public void Sizes_of_zero_are_said_in_words(int minSize, int maxSize, string expected)
    {
        using var weights = new ProceduralWeights(Config with { Input = Config.Input with { MinSize = minSize, MaxSize = maxSize } }, 3, VocabularyBytes);
        Assert.Contains(expected, Text(ModelSummary.Of(weights)).ReplaceLineEndings("\n"), StringComparison.Ordinal);
    }

    private static string Text(ModelSummary summary)
    {
        using var output = new StringWriter();
        summary.WriteTo(output);
        return output.ToString();
    }

    /// <summary>Knows its tensors' shapes only.</summary>
    private sealed class FewShapes : WeightSource
    {
        private readonly Dictionary<string, (TensorType Type, int[] Shape)> _shapes = new()
        {
            ["backbone.body.patch_embed.proj.weight"] = (TensorType.F16, [30, 40]),
            ["language_backbone.body.model.x"] = (TensorType.F32, [1, 2]),
            ["rpn.head.dyhead_tower.0.x"] = (TensorType.F32, [5]),
            ["rpn.head.log_scale"] = (TensorType.F32, []),
        };

        public override string Name => "few.safetensors";

        public override GlipConfig Config => GlipConfig.Published("glip-l");

        public override ReadOnlyMemory<byte> Vocabulary => "a\nb\nc"u8.ToArray();

        public override IReadOnlyCollection<string> TensorNames => _shapes.Keys;

        public override bool TryGetTensor(string name, out WeightTensor tensor) => throw new InvalidOperationException("a weight was read");

        public override bool TryDescribe(string name, out TensorType type, out ReadOnlySpan<int> shape)
        {
            bool found = _shapes.TryGetValue(name, out (TensorType Type, int[] Shape) value);
            type = value.Type;
            shape = value.Shape;
            return found;
        }
    }
}
