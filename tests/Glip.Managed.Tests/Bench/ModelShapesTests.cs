using Glip.Harness;
using Glip.Harness.Shapes;
using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Model;
using Glip.Managed.Text;
using Glip.Tests.Detector;

namespace Glip.Tests.Bench;

public class ModelShapesTests
{
    [Theory]
    [InlineData(true, 64, 96)]
    [InlineData(true, 200, 131)]
    [InlineData(false, 97, 33)]
    public void The_listed_work_is_what_the_model_counts_in_each_of_its_parts(bool fusion, int height, int width)
    {
        GlipConfig config = fusion ? SmallModel.Config : SmallModel.Config with { Fusion = null, EarlyFuse = false, UseFusedFeaturesDotProduct = false };
        using var detector = GlipDetector.Load(SmallModel.Weights(config), new GlipOptions { Threads = 1 });
        var picture = new NoisePicture(width, height);
        int tokens = 0;
        detector.Trace(picture.View, SmallModel.Prompt, new TokenCount(count => tokens = count), new DetectOptions { MinSize = 0 });
        IReadOnlyList<StageCost> counted = detector.Profile(picture.View, SmallModel.Prompt, new DetectOptions { MinSize = 0 });

        // Four words speak for labels; full stops, [CLS] and [SEP] for none.
        IReadOnlyList<ShapeUse> listed = ModelShapes.Of(config, height, width, tokens, scored: 4);
        Assert.Equal(
            counted.Where(stage => stage.MultiplyAdds > 0).Select(stage => (stage.Name, stage.MultiplyAdds)).Order(),
            listed.Where(use => use.Inside.Length == 0).GroupBy(use => use.Stage).Select(stage => (stage.Key, stage.Sum(use => use.Executed))).Order());
        Assert.Equal(fusion, listed.Any(use => use.Stage == "VLFuse"));
    }

    /// <summary>The original, with its text padded to 256 tokens, takes about 707 G for the first of these.</summary>
    [Theory]
    [InlineData("glip-t", 800, 1344, 20, 265)]
    [InlineData("glip-t", 800, 1344, 200, 430)]
    [InlineData("glip-t", 480, 640, 20, 80)]
    [InlineData("glip-l", 800, 1344, 20, 1040)]
    public void Published_models_execute_few_multiply_adds(string config, int height, int width, int tokens, int limit)
    {
        long executed = ModelShapes.Of(GlipConfig.Published(config), height, width, tokens).Where(use => use.Inside.Length == 0).Sum(use => use.Executed);
        Assert.InRange(executed / 1e9, limit * 0.5, limit);
    }

    [Fact]
    public void Kernels_inside_others_are_the_work_that_the_others_count()
    {
        foreach (GlipConfig config in GlipConfig.PublishedNames.Select(GlipConfig.Published))
        {
            IReadOnlyList<ShapeUse> listed = ModelShapes.Of(config, 480, 640, 20);
            foreach (IGrouping<string, ShapeUse> stage in listed.GroupBy(use => use.Stage))
            {
                // A BERT layer is all products and the attention between them; a window attention has scores and weighted values of its own.
                Assert.Equal(Sum(stage.Where(use => use.Shape is BertLayerShape)), Sum(stage.Where(use => use.Inside == "bert")));
                Assert.Equal(
                    Sum(stage.Where(use => use.Shape is WindowAttentionShape))
                        - stage.Where(use => use.Shape is WindowAttentionShape).Sum(use => Scores((WindowAttentionShape)use.Shape) * use.Count),
                    Sum(stage.Where(use => use.Inside == "window")));
            }
        }

        static long Sum(IEnumerable<ShapeUse> uses) => uses.Sum(use => use.MultiplyAdds);
        static long Scores(WindowAttentionShape shape) => 2 * shape.PaddedCells * shape.Window * shape.Window * shape.Channels;
    }

    /// <summary>Rows worked out by hand: 800×1216 gives maps of 200×304, 100×152, 50×76 and 25×38 cells, in windows of 7 filled up to 62524, 16170, 4312, 1176.</summary>
    [Theory]
    [InlineData("swin.stage0", "qkv", "gemm 62524x288x96", 2)]
    [InlineData("swin.stage1", "qkv", "gemm 16170x576x192", 2)]
    [InlineData("swin.stage2", "qkv", "gemm 4312x1152x384", 6)]
    [InlineData("swin.stage3", "qkv", "gemm 1176x2304x768", 2)]
    [InlineData("swin.stage2", "proj", "gemm 4312x384x384", 6)]
    [InlineData("swin.stage2", "fc1", "gemm 3800x1536x384", 6)]
    [InlineData("swin.stage2", "fc2", "gemm 3800x384x1536", 6)]
    [InlineData("swin.stage1", "patch merging", "gemm 15200x192x384", 1)]
    [InlineData("swin.stage0", "patch embedding", "conv 800x1216x3x96k4s4", 1)]
    [InlineData("swin.stage2", "attention", "window 50x76x384", 3)]
    [InlineData("swin.stage2", "attention, shifted", "window 50x76x384s3", 3)]
    [InlineData("bert", "layer", "bert 11x768", 12)]
    [InlineData("text layers", "layer", "bert 11x768", 6)]
    [InlineData("bert", "intermediate", "gemm 11x3072x768", 12)]
    [InlineData("fpn", "P3", "conv 100x152x256x256", 1)]
    [InlineData("fpn", "P6", "conv 25x38x256x256s2", 1)]
    [InlineData("fpn", "lateral P4", "gemm 3800x256x384", 1)]
    [InlineData("VLFuse", "attention both ways", "bi 20267x256x11", 6)]
    [InlineData("VLFuse", "text output", "gemm 11x768x2048", 6)]
    [InlineData("DyConv", "offsets and masks P3", "conv 100x152x256x27p1", 6)]
    [InlineData("DyConv", "P4 from itself", "dcn 50x76x256x256", 6)]
    [InlineData("DyConv", "P4 from P3", "dcn 100x152x256x256s2", 6)]
    [InlineData("DyConv", "P4 from P5", "dcn 25x38x256x256", 6)]
    [InlineData("DyConv", "dynamic ReLU, expand", "gemm 1x1024x64", 30)]
    [InlineData("head", "boxes P7", "gemm 70x4x256", 1)]
    [InlineData("head", "logits", "gemm 20267x5x256", 1)]
    public void GLIP_T_at_800_by_1216_has_these_rows(string stage, string part, string shape, int count) =>
        Assert.Contains(
            ModelShapes.Of(GlipConfig.Published("glip-t"), 800, 1216, 11),
            use => (use.Stage, use.Part, use.Shape.ToString(), use.Count) == (stage, part, shape, count));

    [Fact]
    public void GLIP_L_has_windows_of_12_and_more_layers()
    {
        IReadOnlyList<ShapeUse> listed = ModelShapes.Of(GlipConfig.Published("glip-l"), 480, 640, 11);
        Assert.Contains(listed, use => use.Shape is WindowAttentionShape { Height: 30, Width: 40, Channels: 768, Heads: 24, Window: 12, Shift: 6 } && use.Count == 9);
        Assert.Equal(8, listed.Single(use => use.Part == "attention both ways").Count);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(257)]
    public void More_tokens_than_the_model_reads_are_refused(int tokens)
    {
        string message = Assert.Throws<UsageException>(() => ModelShapes.Of(GlipConfig.Published("glip-t"), 64, 64, tokens)).Message;
        Assert.Contains("256", message, StringComparison.Ordinal);
        Assert.Contains($"{tokens}", message, StringComparison.Ordinal);
    }

    /// <summary>Learns from a trace how many tokens a prompt has.</summary>
    private sealed class TokenCount(Action<int> found) : IStageSink
    {
        public void Add(string name, Managed.Weights.TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data)
        {
            if (name == "lang.hidden")
                found(shape[1]);
        }
    }
}
