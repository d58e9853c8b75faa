using Glip.Managed.Postprocessing;

namespace Glip.Managed.Tests.Postprocessing;

public class NmsTests
{
    [Fact]
    public void KeepsWhatTheOriginalKeeps()
    {
        var file = new OpsFile("ml_nms");
        var detections = file.Detections("boxes", "scores", "labels");
        var candidates = Sorted(detections.Select((d, i) => At(new(d.X1, d.Y1, d.X2, d.Y2), d.Score, d.Label, i)));

        var kept = Select(candidates, (float)file.Info.GetProperty("thresh").GetDouble());

        Assert.Equal(file.Integers("keep_ascending_index"), kept.Select(i => candidates[i].Cell).Order());
    }

    [Fact]
    public void OverlapCountsTheLastPixel()
    {
        // Two rows of two pixels that share one of them.
        Assert.Equal(1 / 3f, Nms.Overlap(new(0, 0, 1, 0), new(1, 0, 2, 0)));
        Assert.Equal(0, Nms.Overlap(new(0, 0, 1, 0), new(2, 0, 3, 0)));
    }

    [Fact]
    public void ABoxOnTheBorderLineHasAnArea()
    {
        var candidates = Sorted([At(new(99, 0, 99, 50), 0.9f, 1, 0), At(new(99, 0, 99, 50), 0.8f, 1, 1)]);

        Assert.Equal([0], Select(candidates));
    }

    [Fact]
    public void AnOverlapEqualToTheThresholdIsKept()
    {
        // 3 of 4 pixels in common: exactly 0.75.
        var candidates = Sorted([At(new(0, 0, 3, 0), 0.9f, 1, 0), At(new(0, 0, 2, 0), 0.8f, 1, 1)]);

        Assert.Equal([0, 1], Select(candidates, 0.75f));
        Assert.Equal([0], Select(candidates, MathF.BitDecrement(0.75f)));
    }

    [Fact]
    public void OnlyBoxesOfTheSameLabelCompete()
    {
        var box = new Box(0, 0, 10, 10);

        Assert.Equal([0, 1], Select(Sorted([At(box, 0.9f, 1, 0), At(box, 0.8f, 2, 1), At(box, 0.7f, 1, 2)])));
    }

    [Fact]
    public void ADroppedBoxDropsNoOther()
    {
        // Each covers 7 of 10 pixels of the one before; the first and the third share only 4 of 16.
        var candidates = Sorted(
            [At(new(0, 0, 9, 0), 0.9f, 1, 0), At(new(2, 0, 11, 0), 0.8f, 1, 1), At(new(6, 0, 15, 0), 0.7f, 1, 2)]);

        Assert.Equal([0, 2], Select(candidates));
    }

    [Fact]
    public void AmongEqualScoresTheEarlierPlaceWins()
    {
        var box = new Box(0, 0, 10, 10);
        var candidates = Sorted([At(box, 0.5f, 1, 7), At(box, 0.5f, 1, 3), At(box, 0.5f, 1, 5)]);

        Assert.Equal(3, candidates[Assert.Single(Select(candidates))].Cell);
    }

    [Fact]
    public void TheLimitKeepsAllThatTieWithTheLast()
    {
        float[] scores = [0.9f, 0.5f, 0.5f, 0.5f, 0.4f, 0.4f];
        var candidates = Sorted(scores.Select((score, i) => At(new(20 * i, 0, (20 * i) + 9, 9), score, 1, i)));

        Assert.Equal([0], Select(candidates, limit: 1));
        Assert.Equal([0, 1, 2, 3], Select(candidates, limit: 2));
        Assert.Equal([0, 1, 2, 3], Select(candidates, limit: 4));
        Assert.Equal([0, 1, 2, 3, 4, 5], Select(candidates, limit: 5));
    }

    [Fact]
    public void NothingGivesNothing() => Assert.Empty(Select([]));

    private static Candidate At(Box box, float score, int label, int cell) => new(box, score, label, 0, cell, score);

    private static Candidate[] Sorted(IEnumerable<Candidate> candidates)
    {
        var sorted = candidates.ToArray();
        Array.Sort(sorted, Candidate.ByScoreThenPlace);
        return sorted;
    }

    private static int[] Select(Candidate[] candidates, float threshold = 0.6f, int limit = int.MaxValue)
    {
        var kept = new int[candidates.Length];
        return kept[..Nms.Select(candidates, threshold, limit, kept)];
    }
}
