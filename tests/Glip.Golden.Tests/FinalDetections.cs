namespace Glip.Tests;

/// <summary>Compares the detections of a trace with the recorded ones, one to one, by the borderline rule.</summary>
public static class FinalDetections
{
    public static void AssertEqual(GoldenCase golden, StageCollector stages)
    {
        // What lies near the probability border or the cut per level is only known to candidates; those of the trace are enough for a first look.
        DetectionComparison comparison = DetectionMatcher.Compare(Expected(golden), Actual(stages));
        Assert.True(comparison.IsMatch, comparison.ToString());
    }

    private static List<ScoredBox> Expected(GoldenCase golden) =>
        Read(golden.Expected["final.boxes"].Float, golden.Expected["final.scores"].Float, golden.Expected["final.labels"].Long);

    private static List<ScoredBox> Actual(StageCollector stages) =>
        Read(stages.Floats("final.boxes"), stages.Floats("final.scores"), stages.Longs("final.labels"));

    private static List<ScoredBox> Read(ReadOnlySpan<float> boxes, ReadOnlySpan<float> scores, ReadOnlySpan<long> labels)
    {
        var result = new List<ScoredBox>();
        for (int i = 0; i < scores.Length; i++)
            result.Add(new ScoredBox(boxes[4 * i], boxes[(4 * i) + 1], boxes[(4 * i) + 2], boxes[(4 * i) + 3], scores[i], (int)labels[i]));
        return result;
    }
}
