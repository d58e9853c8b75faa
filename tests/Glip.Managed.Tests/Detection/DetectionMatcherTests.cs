using Glip.Tests;

namespace Glip.Managed.Tests.Postprocessing;

/// <summary>The comparison that golden tests trust: it must pass what rounding can do and nothing else.</summary>
public class DetectionMatcherTests
{
    private static readonly ScoredBox Cat = new(10, 10, 59, 59, 0.9f, 1);
    private static readonly ScoredBox Dog = new(100, 10, 149, 59, 0.8f, 2);
    private static readonly ScoredBox Weak = new(200, 10, 249, 59, 0.2f, 1);

    [Fact]
    public void OrderAndRoundingDoNotMatter()
    {
        var comparison = DetectionMatcher.Compare([Cat, Dog], [Dog with { X1 = 100.009f }, Cat with { Score = 0.90002f }]);

        Assert.True(comparison.IsMatch, comparison.ToString());
        Assert.Equal(2, comparison.Matched);
        Assert.Equal(2e-5, comparison.WorstScore, 1e-6);
        Assert.Equal(0.009, comparison.WorstCorner, 1e-4);
        Assert.True(DetectionMatcher.Compare([], []).IsMatch);
    }

    [Fact]
    public void PartnersThatDifferTooMuchAreAProblem()
    {
        Assert.Contains("expected label 1", Problem([Cat], [Cat with { Y2 = 59.02f }]), StringComparison.Ordinal);
        Assert.Contains("overlap 1.0000: label 1 score 0.900100", Problem([Cat], [Cat with { Score = 0.9001f }]), StringComparison.Ordinal);
        _ = Problem([Cat], [Cat with { X1 = float.NaN }]);
        _ = Problem([Cat], [Cat with { Score = float.NaN }]);
    }

    [Fact]
    public void OthersAreLeftOverAndNamed()
    {
        Assert.Equal(2, DetectionMatcher.Compare([Cat], [Cat with { Label = 2 }]).Problems.Count);
        Assert.Equal(2, DetectionMatcher.Compare([Cat], [Cat with { X1 = 12 }]).Problems.Count);
        Assert.Contains("only in expected: label 2", Problem([Cat, Dog], [Cat]), StringComparison.Ordinal);
        Assert.Contains("only in actual: label 2", Problem([Cat], [Cat, Dog]), StringComparison.Ordinal);
        Assert.Contains("only in actual", Problem([Cat], [Cat, Cat]), StringComparison.Ordinal);
    }

    [Fact]
    public void BoxesWithoutAreaMatchByTheirCorners()
    {
        var sliver = new ScoredBox(50, 10, 49, 30, 0.5f, 1);

        Assert.True(DetectionMatcher.Compare([sliver], [sliver]).IsMatch);
    }

    [Fact]
    public void AProbabilityAtTheThresholdExplains()
    {
        Explained("at the threshold", [Cat, Weak], [Cat], Borders(Of(Cat), Of(Weak, probability: 0.05002f)));
        Explained("at the threshold", [Cat], [Cat, Weak], Borders(Of(Cat), Of(Weak, probability: 0.04998f)));
        _ = Problem([Cat, Weak], [Cat], Borders(Of(Cat), Of(Weak, probability: 0.0502f)));
    }

    [Fact]
    public void AScoreAtTheCutOfItsLevelExplains()
    {
        var rival = Weak with { X1 = 300, X2 = 349, Score = 0.20001f };
        var beyond = Weak with { X1 = 400, X2 = 449, Score = 0.1f };
        var borders = Borders(Of(Cat), Of(Weak), Of(rival), Of(beyond)) with { PreNmsTopN = 2 };

        var comparison = DetectionMatcher.Compare([Cat, Weak], [Cat, rival], borders);
        Assert.True(comparison.IsMatch, comparison.ToString());
        Assert.Equal(2, comparison.Explained.Count);
        _ = Problem([Cat, beyond], [Cat, rival], borders);

        // Levels are cut one by one, and a level that keeps everything has no cut.
        _ = Problem([Cat, Weak], [Cat], Borders(Of(Cat), Of(Weak), Of(rival, level: 1)) with { PreNmsTopN = 2 });
    }

    [Fact]
    public void AnOverlapAtTheThresholdExplains()
    {
        // 50 wide and moved by 12.5: 37.5 / 62.5 = 0.6.
        var moved = Cat with { X1 = 22.5f, X2 = 71.5f, Score = 0.7f };
        Explained("overlaps", [Cat, moved], [Cat], Borders(Of(Cat), Of(moved)));

        var further = Cat with { X1 = 23, X2 = 72, Score = 0.7f };
        _ = Problem([Cat, further], [Cat], Borders(Of(Cat), Of(further)));
        var other = moved with { Label = 2 };
        _ = Problem([Cat, other], [Cat], Borders(Of(Cat), Of(other)));
        var stronger = moved with { Score = 0.95f };
        _ = Problem([Cat, stronger], [Cat], Borders(Of(Cat), Of(stronger)));
    }

    [Fact]
    public void AScoreAtTheCutPerImageExplains()
    {
        var last = Weak with { Score = 0.20001f };
        var rival = Dog with { Score = 0.20002f };

        Assert.True(DetectionMatcher.Compare([Cat, last], [Cat, rival], detectionsPerImage: 2).IsMatch);
        Assert.False(DetectionMatcher.Compare([Cat, last], [Cat, rival], detectionsPerImage: 3).IsMatch);
        Assert.False(DetectionMatcher.Compare([Cat, last], [Cat, Dog], detectionsPerImage: 2).IsMatch);
    }

    [Fact]
    public void WhatAnExplainedFlipCausesIsExplained()
    {
        // The first stands at the threshold; the second overlaps it by 0.8, so it is there only where the first is not.
        var first = Weak with { Score = 0.22f };
        var second = Weak with { X1 = 205.5f, X2 = 254.5f, Score = 0.15f };
        Explained("suppresses it", [Cat, first], [Cat, second], Borders(Of(Cat), Of(first, probability: 0.05f), Of(second)));
        _ = Problem([Cat, first], [Cat, second], Borders(Of(Cat), Of(first), Of(second)));

        // The additional box pushes the last one out of the image's best two.
        Explained(
            "pushed it over",
            [Cat, first],
            [Cat, Weak with { X1 = 300, X2 = 349, Score = 0.1f }],
            Borders(Of(Cat), Of(first, probability: 0.05f)),
            detectionsPerImage: 2);
        _ = Problem([Cat, first], [Cat, Weak with { X1 = 300, X2 = 349, Score = 0.1f }], Borders(Of(Cat), Of(first)), 2);
    }

    [Fact]
    public void RivalsThatTieMayEitherOneWin()
    {
        var rival = Cat with { X1 = 15, X2 = 64, Score = 0.90001f };
        Explained("ties with", [Cat], [rival], Borders(Of(Cat), Of(rival)));

        var stronger = rival with { Score = 0.91f };
        _ = Problem([Cat], [stronger], Borders(Of(Cat), Of(stronger)));

        // No detection is its own rival: neither a wrong corner nor a wrong score is a tie.
        _ = Problem([Cat], [Cat with { X1 = 10.02f }], Borders(Of(Cat)));
        _ = Problem([Cat with { Score = 0.90002f }], [Cat with { Score = 0.89998f }], Borders(Of(Cat)));
    }

    [Fact]
    public void AnotherCandidateMayTakeThePlaceOfOneThatFell()
    {
        // The same box at two levels. Where the stronger falls at the threshold, the weaker is no longer suppressed.
        var weaker = Weak with { Score = 0.15f };
        Explained("suppresses it", [Weak], [weaker], Borders(Of(Weak, probability: 0.05f), Of(weaker, level: 1)));
        _ = Problem([Weak], [weaker], Borders(Of(Weak), Of(weaker, level: 1)));
    }

    [Fact]
    public void BordersAreSoughtInPixelsOfTheResizedImage()
    {
        var borders = Borders(Of(Cat), Of(Weak, probability: 0.05f)) with { ScaleX = 2, ScaleY = 3 };

        Explained("at the threshold", [Cat.Scaled(2, 3), Weak.Scaled(2, 3)], [Cat.Scaled(2, 3)], borders);
        Assert.Contains("no candidate resembles it", Problem([Cat, Weak], [Cat], borders), StringComparison.Ordinal);
    }

    private static RelaxedCandidate Of(ScoredBox box, int level = 0, float probability = 0.5f) => new(box, level, probability);

    private static SelectionBorders Borders(params RelaxedCandidate[] candidates) => new() { Candidates = candidates };

    private static void Explained(
        string reason, ScoredBox[] expected, ScoredBox[] actual, SelectionBorders borders, int detectionsPerImage = 100)
    {
        var comparison = DetectionMatcher.Compare(expected, actual, borders, detectionsPerImage: detectionsPerImage);
        Assert.True(comparison.IsMatch, comparison.ToString());
        Assert.Contains(comparison.Explained, e => e.Contains(reason, StringComparison.Ordinal));
    }

    private static string Problem(ScoredBox[] expected, ScoredBox[] actual, SelectionBorders? borders = null, int detectionsPerImage = 100)
    {
        var comparison = DetectionMatcher.Compare(expected, actual, borders, detectionsPerImage: detectionsPerImage);
        Assert.False(comparison.IsMatch, comparison.ToString());
        return comparison.ToString();
    }
}
