using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Model.Fusion;
using Glip.Managed.Text;
using Glip.Managed.Weights;
using Xunit.Abstractions;

namespace Glip.Tests;

/// <summary>Small models with all of GLIP's topology, against recordings of the original code: every stage under every instruction set.</summary>
public class MicroModelTests(ITestOutputHelper output)
{
    internal static readonly string[] CaseNames =
    [
        "micro_a/c0_full", "micro_a/c1_oddsize_single", "micro_a/c4_resize_up_unicode", "micro_a/c7_empty_result",
        "micro_b/c0_full", "micro_b/c1_oddsize_single", "micro_b/c2_tall_list", "micro_b/c3_wide_sentence", "micro_b/c5_resize_down_long",
        "micro_b/c6_truncated_256", "micro_b/c7_empty_result",
    ];

    public static TheoryData<string, SimdIsa> Cases()
    {
        var data = new TheoryData<string, SimdIsa>();
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            foreach (string name in CaseNames)
                data.Add(name, isa);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_stage_equals_the_original(string name, SimdIsa isa)
    {
        string model = name.Split('/')[0];
        GoldenCase golden = GoldenCase.Load(model, name.Split('/')[1]);
        using GlipDetector detector = GlipDetector.Load(Procedural(model), new GlipOptions { Isa = isa.Name(), Threads = 2 });
        StageCollector stages = golden.Run(detector);
        output.WriteLine(StageComparison.Summary(StageComparison.AssertEqual(golden, stages)));
        output.WriteLine(FinalDetections.AssertEqual(golden, stages).ToString());
    }

    /// <summary>The order in which the original computes, with its padding, and everything between: algebra that saves work changes nothing but the cost.</summary>
    public static TheoryData<string, string, bool> Ways()
    {
        var data = new TheoryData<string, string, bool>();
        foreach (string name in CaseNames)
        {
            data.Add(name, nameof(FusionOrder.Folded), false);
            data.Add(name, nameof(FusionOrder.Folded), true);
            data.Add(name, nameof(FusionOrder.Plain), false);
            data.Add(name, nameof(FusionOrder.Plain), true);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Every_stage_equals_the_original_in_any_order_with_and_without_padding(string name, string order, bool padded)
    {
        string model = name.Split('/')[0];
        GoldenCase golden = GoldenCase.Load(model, name.Split('/')[1]);
        var options = new GlipOptions { Threads = 2, FusionOrder = Enum.Parse<FusionOrder>(order), KeepsPadding = padded };
        using GlipDetector detector = GlipDetector.Load(Procedural(model), options);
        StageCollector stages = golden.Run(detector);
        StageComparison.AssertEqual(golden, stages);
        FinalDetections.AssertEqual(golden, stages);
    }

    [Fact]
    public void Labels_have_the_originals_tokens()
    {
        var tokenizer = new WordPieceTokenizer(Vocabulary.Parse(File.ReadAllBytes(TestData.Path("vocab_micro_3000.txt")), "test"));
        foreach (string name in CaseNames)
            GoldenCase.Load(name.Split('/')[0], name.Split('/')[1]).AssertLabelsEqual(tokenizer, maxQueryLength: 256);
    }

    internal static ProceduralWeights Procedural(string model)
    {
        byte[] json = File.ReadAllBytes(TestData.Path(model, "config.json"));
        using var document = System.Text.Json.JsonDocument.Parse(json);
        long seed = document.RootElement.GetProperty("seed").GetInt64();
        return new ProceduralWeights(GlipConfig.Parse(json, model), seed, File.ReadAllBytes(TestData.Path("vocab_micro_3000.txt")));
    }
}
