using Glip.Kernels;
using Glip.Managed;

namespace Glip.Tests;

/// <summary>The comparison that the golden tests trust must be able to fail, and name the culprit.</summary>
public class StageComparisonTests
{
    private static readonly GoldenCase s_golden = GoldenCase.Load("micro_b", "c1_oddsize_single");

    [Theory]
    [InlineData("bert.layer.0")]
    [InlineData("body.out.stage4")]
    [InlineData("fpn.P7")]
    [InlineData("tower.0.VLFuse.hidden")]
    [InlineData("tower.2.DyConv.visual.P3")]
    [InlineData("tower.5.DyConv.visual.P7")]
    [InlineData("head.dot_product_logits.P5")]
    public void One_element_off_by_twice_the_tolerance_is_found_and_its_stage_named_first(string name)
    {
        StageCollector stages = Run();
        Span<float> values = stages.Floats(name);
        double tolerance = StageComparison.ToleranceOf(name, large: false);
        float largest = 0;
        foreach (float value in s_golden.Expected[name].Float)
            largest = Math.Max(largest, Math.Abs(value));
        values[^2] += (float)(2 * tolerance * largest);

        StageResult bad = Assert.Single(StageComparison.Compare(s_golden, stages), s => s.Problem is not null);
        Assert.Equal(name, bad.Name);
        Assert.InRange(bad.Error, 1.4 * tolerance, 2.6 * tolerance);
        Assert.Contains($"element {values.Length - 2}", bad.Problem, StringComparison.Ordinal);
        var failure = Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => StageComparison.AssertEqual(s_golden, stages));
        Assert.Contains($"first bad stage: {name}", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_several_bad_stages_the_first_computed_is_named()
    {
        StageCollector stages = Run();
        stages.Floats("head.centerness.P3")[0] += 1;
        stages.Floats("fpn.P4")[3] = float.NaN;
        stages.Remove("tower.2.DyConv.visual.P5");
        Assert.Equal(
            ["fpn.P4", "tower.2.DyConv.visual.P5", "head.centerness.P3"],
            StageComparison.Compare(s_golden, stages).Where(s => s.Problem is not null).Select(s => s.Name));
    }

    [Fact]
    public void Integers_must_be_equal()
    {
        StageCollector stages = Run();
        stages.Longs("text.input_ids")[1]++;
        Assert.Equal("text.input_ids", Assert.Single(StageComparison.Compare(s_golden, stages), s => s.Problem is not null).Name);
    }

    [Fact]
    public void Detections_that_moved_changed_score_or_vanished_are_found()
    {
        StageCollector moved = Run(), scored = Run(), relabelled = Run();
        Assert.True(FinalDetections.Compare(s_golden, moved).IsMatch);
        moved.Floats("final.boxes")[5] += 0.5f;
        scored.Floats("final.scores")[0] += 1e-3f;
        relabelled.Longs("final.labels")[2]++;
        Assert.All([moved, scored, relabelled], stages => Assert.False(FinalDetections.Compare(s_golden, stages).IsMatch));
    }

    [Fact]
    public void Borders_know_every_recorded_detection_in_a_resized_picture_and_what_the_threshold_barely_dropped()
    {
        GoldenCase resized = GoldenCase.Load("micro_b", "c5_resize_down_long");
        SelectionBorders borders = FinalDetections.Borders(resized, Run(resized));
        Assert.NotEqual(1, borders.ScaleX);
        Assert.All(FinalDetections.Recorded(resized), box => Assert.Contains(
            borders.Candidates.Select(c => c.Box.Scaled(borders.ScaleX, borders.ScaleY)),
            c => c.Label == box.Label && Math.Abs(c.Score - box.Score) < 3e-5 && Math.Abs(c.X1 - box.X1) < 0.01 && Math.Abs(c.Y2 - box.Y2) < 0.01));
        Assert.Contains(borders.Candidates, c => c.Probability > 0.05f);
        Assert.Contains(borders.Candidates, c => c.Probability < 0.05f);
    }

    private static StageCollector Run(GoldenCase? golden = null)
    {
        using GlipDetector detector = GlipDetector.Load(MicroModelTests.Procedural("micro_b"), new GlipOptions { Isa = SimdIsas.Best.Name(), Threads = 1 });
        return (golden ?? s_golden).Run(detector);
    }
}
