using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Text;

namespace Glip.Tests.Detector;

public class OptionTests
{
    private static readonly NoisePicture s_picture = new(70, 40);

    [Theory]
    [InlineData(-0.01f)]
    [InlineData(1.01f)]
    [InlineData(float.NaN)]
    public void Thresholds_outside_0_to_1_are_refused(float threshold)
    {
        using GlipDetector detector = SmallModel.Load();
        var refused = Assert.Throws<ArgumentOutOfRangeException>(() => Detect(detector, new DetectOptions { Threshold = threshold, MinSize = 0 }));
        Assert.Contains("0..1", refused.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(
            () => detector.Trace(s_picture.View, SmallModel.Prompt, new StageAction(_ => { }), new DetectOptions { MinSize = 0 }, threshold));
    }

    [Fact]
    public void The_threshold_is_strict_and_best_come_first()
    {
        using GlipDetector detector = SmallModel.Load();
        IReadOnlyList<Detection> all = Detect(detector, new DetectOptions { Threshold = 0, MinSize = 0 });
        Assert.Equal(all.OrderByDescending(f => f.Score), all);
        float middle = all[all.Count / 2].Score;
        IReadOnlyList<Detection> above = Detect(detector, new DetectOptions { Threshold = middle, MinSize = 0 });
        Assert.Equal(all.Where(f => f.Score > middle).Select(f => f.Score), above.Select(f => f.Score));
        Assert.InRange(above.Count, 1, all.Count / 2);
    }

    [Fact]
    public void Without_a_threshold_the_models_own_counts()
    {
        float median;
        using (GlipDetector detector = SmallModel.Load())
        {
            IReadOnlyList<Detection> all = Detect(detector, new DetectOptions { Threshold = 0, MinSize = 0 });
            median = all[all.Count / 2].Score;
        }

        using GlipDetector choosy = GlipDetector.Load(SmallModel.Weights(SmallModel.Config with { DefaultThreshold = median }));
        IReadOnlyList<Detection> found = Detect(choosy, new DetectOptions { MinSize = 0 });
        Assert.NotEmpty(found);
        Assert.All(found, f => Assert.True(f.Score > median));
    }

    [Fact]
    public void The_best_are_kept_up_to_the_wanted_number()
    {
        using GlipDetector detector = SmallModel.Load();
        var options = new DetectOptions { Threshold = 0, MinSize = 0 };
        IReadOnlyList<Detection> all = Detect(detector, options);
        foreach (int wanted in (int[])[1, 7, all.Count, 1000])
        {
            IReadOnlyList<Detection> found = Detect(detector, options with { MaxDetections = wanted });
            Assert.True(wanted > all.Count ? found.Count >= all.Count : found.Count >= wanted);
            Assert.Equal(SmallModel.Exact([.. all.Take(found.Count)]), SmallModel.Exact([.. found.Take(all.Count)]));
            if (found.Count > wanted)
                Assert.All(found.Skip(wanted), f => Assert.Equal(found[wanted - 1].Score, f.Score));
        }

        var refused = Assert.Throws<ArgumentOutOfRangeException>(() => Detect(detector, options with { MaxDetections = 0 }));
        Assert.Contains(nameof(DetectOptions.MaxDetections), refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(0, -1)]
    public void Negative_sizes_are_refused(int min, int max)
    {
        using GlipDetector detector = SmallModel.Load();
        var refused = Assert.Throws<ArgumentOutOfRangeException>(() => Detect(detector, new DetectOptions { MinSize = min, MaxSize = max }));
        Assert.Equal(-1, refused.ActualValue);
    }

    [Fact]
    public void A_negative_number_of_threads_is_refused()
    {
        var refused = Assert.Throws<ArgumentOutOfRangeException>(() => SmallModel.Load(threads: -1));
        Assert.Equal("options.Threads", refused.ParamName);
    }

    [Fact]
    public void Instruction_sets_that_do_not_exist_or_do_not_run_here_are_refused()
    {
        var unknown = Assert.Throws<ArgumentException>(() => GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Isa = "sse5" }));
        Assert.Contains("'sse5'", unknown.Message, StringComparison.Ordinal);
        foreach (SimdIsa isa in SimdIsas.All.Except(SimdIsas.Available))
        {
            var missing = Assert.Throws<PlatformNotSupportedException>(
                () => GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Isa = isa.Name() }));
            Assert.Contains(isa.Name(), missing.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Deterministic_is_a_set_of_its_own_and_goes_with_no_other()
    {
        using GlipDetector asked = GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Deterministic = true });
        using GlipDetector named = GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Isa = "portable" });
        using GlipDetector both = GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Isa = "portable", Deterministic = true });
        Assert.Equal(["portable", "portable", "portable"], [asked.Isa, named.Isa, both.Isa]);
        foreach (string other in SimdIsas.All.Select(SimdIsas.Name).Where(name => name != "portable"))
        {
            var refused = Assert.Throws<ArgumentException>(() => GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Isa = other, Deterministic = true }));
            Assert.Contains($"expected Isa auto or that, found '{other}'", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Missing_arguments_are_named()
    {
        using GlipDetector detector = SmallModel.Load();
        Assert.Equal("prompt", Assert.Throws<ArgumentNullException>(() => detector.Detect(s_picture.View, (Prompt)null!)).ParamName);
        Assert.Equal("labels", Assert.Throws<ArgumentNullException>(() => detector.Detect(s_picture.View, (string[])null!)).ParamName);
        Assert.Equal("sink", Assert.Throws<ArgumentNullException>(() => detector.Trace(s_picture.View, SmallModel.Prompt, null!)).ParamName);
        Assert.Equal("weights", Assert.Throws<ArgumentNullException>(() => GlipDetector.Load((Managed.Weights.WeightSource)null!)).ParamName);
    }

    private static IReadOnlyList<Detection> Detect(GlipDetector detector, DetectOptions options) =>
        detector.Detect(s_picture.View, SmallModel.Prompt, options);
}
