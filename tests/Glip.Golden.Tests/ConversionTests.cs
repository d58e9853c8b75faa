using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools;
using Xunit.Abstractions;

namespace Glip.Tests;

/// <summary>From a checkpoint as the original writes it to its detections: convert, load, run.</summary>
public sealed class ConversionTests(ITestOutputHelper output) : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("glip-");

    [Fact]
    public void A_converted_checkpoint_gives_the_stages_that_the_original_recorded_with_it()
    {
        GoldenCase golden = GoldenCase.Load("micro_b", "c2_tall_list");
        StageCollector stages = Run(golden, GlipDetector.Load(Convert(TensorType.F32), Options));
        StageComparison.AssertEqual(golden, stages);
        FinalDetections.AssertEqual(golden, stages);

        // The checkpoint was made by the formula that the other tests use, so nothing at all may differ.
        StageCollector direct = Run(golden, GlipDetector.Load(MicroModelTests.Procedural("micro_b"), Options));
        Assert.Equal(direct.Names, stages.Names);
        Assert.All(direct.Names, name => Assert.True(direct.Bytes(name).SequenceEqual(stages.Bytes(name)), name));
    }

    [Fact]
    public void Half_precision_changes_stages_a_little_and_no_more()
    {
        GoldenCase golden = GoldenCase.Load("micro_b", "c2_tall_list");
        StageCollector stages = Run(golden, GlipDetector.Load(Convert(TensorType.F16), Options));
        StageResult[] computed = [.. StageComparison.Compare(golden, stages).Where(s => s.Name.StartsWith("head.", StringComparison.Ordinal))];
        Assert.NotEmpty(computed);

        // Rounding changes a weight by 2^-11 of itself at most; this network makes 9e-3 of the largest output of it.
        Assert.All(computed, s => Assert.InRange(s.Error, 1e-5, 2e-2));
    }

    [Theory]
    [InlineData("c0_full")]
    [InlineData("c1_oddsize_single")]
    [InlineData("c2_tall_list")]
    [InlineData("c3_wide_sentence")]
    [InlineData("c5_resize_down_long")]
    [InlineData("c6_truncated_256")]
    public void Half_precision_finds_what_the_original_found(string name)
    {
        GoldenCase golden = GoldenCase.Load("micro_b", name);
        StageCollector stages = Run(golden, GlipDetector.Load(Convert(TensorType.F16), Options));

        // Measured: 1.6e-3 and 0.63 px of a box 183 px wide. Random weights pass rounding on undamped; the trained default model's scores move by 4.0e-4 (see NanoTests).
        DetectionComparison comparison = FinalDetections.Compare(golden, stages, scoreTolerance: 2e-3f, cornerTolerance: 0.8f);
        Assert.True(comparison.IsMatch, comparison.ToString());
        output.WriteLine(comparison.ToString());
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static GlipOptions Options => new() { Isa = SimdIsas.Best.Name(), Threads = 2 };

    private string Convert(TensorType type)
    {
        string target = Path.Combine(_folder.FullName, $"{type}.safetensors");
        GlipConfig config = GlipConfig.Parse(File.ReadAllBytes(TestData.Path("micro_b", "config.json")), "micro_b");
        CheckpointConverter.Convert(new()
        {
            Source = TestData.Path("micro_b", "micro_b.pth"),
            Config = config,
            VocabularyPath = TestData.Path("vocab_micro_3000.txt"),
            Target = target,
            Type = type,
        });
        return target;
    }

    private static StageCollector Run(GoldenCase golden, GlipDetector detector)
    {
        using (detector)
            return golden.Run(detector);
    }
}
