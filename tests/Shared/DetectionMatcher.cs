using System.Globalization;
using System.Text;

namespace Glip.Tests;

/// <summary>A detection as the comparison sees it: absolute corners, score 0…1, label from 1.</summary>
public readonly record struct ScoredBox(float X1, float Y1, float X2, float Y2, float Score, int Label)
{
    /// <summary>The same with its corners multiplied.</summary>
    public ScoredBox Scaled(double x, double y) =>
        this with { X1 = (float)(X1 * x), Y1 = (float)(Y1 * y), X2 = (float)(X2 * x), Y2 = (float)(Y2 * y) };

    /// <summary>The numbers, briefly.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"label {Label} score {Score:F6} box [{X1:F3} {Y1:F3} {X2:F3} {Y2:F3}]");
}

/// <summary>A candidate of a relaxed selection, in pixels of the resized image.</summary>
/// <param name="Box">Clipped box, score and label.</param>
/// <param name="Level">Pyramid level.</param>
/// <param name="Probability">Class probability without centerness.</param>
public readonly record struct RelaxedCandidate(ScoredBox Box, int Level, float Probability);

/// <summary>
/// The borders at which rounding may flip a selection, and what is needed to see whether a detection stands at one of them.
/// Candidates must come from one of the two sides, run again with a slightly lower probability threshold and a larger cut per level, so
/// that they hold what either side dropped narrowly.
/// </summary>
public sealed record SelectionBorders
{
    /// <summary>The relaxed candidates.</summary>
    public required IReadOnlyList<RelaxedCandidate> Candidates { get; init; }

    /// <summary>Multiplies a candidate's x to give the compared lists' pixels.</summary>
    public double ScaleX { get; init; } = 1;

    /// <summary>Multiplies a candidate's y to give the compared lists' pixels.</summary>
    public double ScaleY { get; init; } = 1;

    /// <summary>Probability that candidates had to exceed.</summary>
    public float InferenceThreshold { get; init; } = 0.05f;

    /// <summary>Candidates kept per level.</summary>
    public int PreNmsTopN { get; init; } = 1000;

    /// <summary>Overlap that dropped a box.</summary>
    public float NmsThreshold { get; init; } = 0.6f;

    /// <summary>How near an overlap must be to <see cref="NmsThreshold"/>: rounded corners move it, a small box's most.</summary>
    public float OverlapTolerance { get; init; } = 2e-3f;
}

/// <summary>What <see cref="DetectionMatcher.Compare"/> found.</summary>
public sealed class DetectionComparison
{
    internal List<string> ProblemList { get; } = [];

    internal List<string> ExplainedList { get; } = [];

    /// <summary>Detections that have a partner.</summary>
    public int Matched { get; internal set; }

    /// <summary>Largest difference of partners' scores.</summary>
    public float WorstScore { get; internal set; }

    /// <summary>Largest difference of partners' corners.</summary>
    public float WorstCorner { get; internal set; }

    /// <summary>Unmatched detections, each with the border that explains it.</summary>
    public IReadOnlyList<string> Explained => ExplainedList;

    /// <summary>Partners whose corners differ too much, and unmatched detections that no border explains.</summary>
    public IReadOnlyList<string> Problems => ProblemList;

    /// <summary>True if there is no problem.</summary>
    public bool IsMatch => ProblemList.Count == 0;

    /// <summary>A report for a test's failure message.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        _ = text.Append(
            CultureInfo.InvariantCulture, $"{Matched} matched, scores within {WorstScore:G3}, corners within {WorstCorner:G3} px, ");
        _ = text.AppendLine(CultureInfo.InvariantCulture, $"{ExplainedList.Count} at a border, {ProblemList.Count} problems");
        foreach (string line in ProblemList)
            _ = text.Append("  problem: ").AppendLine(line);
        foreach (string line in ExplainedList)
            _ = text.Append("  border: ").AppendLine(line);
        return text.ToString();
    }
}

/// <summary>
/// Compares two lists of detections. Rounding may flip a decision at a border (the probability threshold, the cut per level, the overlap,
/// the cut per image), so lists need not be equal: same-label boxes are matched one to one, and each one left over must stand at a border.
/// </summary>
public static class DetectionMatcher
{
    private const double SameObject = 0.99;

    /// <summary>Compares.</summary>
    /// <param name="expected">The reference's list, in any order.</param>
    /// <param name="actual">The list under test, in any order.</param>
    /// <param name="borders">What can explain unmatched detections. Without it only the cut per image can.</param>
    /// <param name="scoreTolerance">Largest difference of partners' scores, and what counts as near a border.</param>
    /// <param name="cornerTolerance">Largest difference of partners' corners, in pixels.</param>
    /// <param name="detectionsPerImage">Detections kept per image, ties aside.</param>
    public static DetectionComparison Compare(
        IReadOnlyList<ScoredBox> expected,
        IReadOnlyList<ScoredBox> actual,
        SelectionBorders? borders = null,
        float scoreTolerance = 3e-5f,
        float cornerTolerance = 0.01f,
        int detectionsPerImage = 100)
    {
        var result = new DetectionComparison();
        var (expectedOnly, actualOnly) = Match(expected, actual, scoreTolerance, cornerTolerance, result);
        if (expectedOnly.Count + actualOnly.Count > 0)
        {
            new Explanation(expected, actual, borders, scoreTolerance, cornerTolerance, detectionsPerImage)
                .Explain(expectedOnly, actualOnly, result);
        }

        return result;
    }

    private static (List<ScoredBox> ExpectedOnly, List<ScoredBox> ActualOnly) Match(
        IReadOnlyList<ScoredBox> expected,
        IReadOnlyList<ScoredBox> actual,
        float scoreTolerance,
        float cornerTolerance,
        DetectionComparison result)
    {
        var expectedOnly = new List<ScoredBox>();
        var free = actual.ToList();
        foreach (var box in expected.OrderByDescending(b => b.Score))
        {
            // Of another score it may be another candidate, which took the place of one that fell at a border.
            int partner = Nearest(box, free, cornerTolerance);
            if (partner < 0 || !(Math.Abs(box.Score - free[partner].Score) <= scoreTolerance))
            {
                expectedOnly.Add(box);
                continue;
            }

            var other = free[partner];
            free.RemoveAt(partner);
            float corner = CornerDifference(box, other);
            result.Matched++;
            result.WorstScore = Math.Max(result.WorstScore, Math.Abs(box.Score - other.Score));
            result.WorstCorner = Math.Max(result.WorstCorner, corner);
            if (!(corner <= cornerTolerance))
                result.ProblemList.Add($"expected {box}, found {other}");
        }

        return (expectedOnly, free);
    }

    /// <summary>Index of the box of the same object whose score is nearest, or −1.</summary>
    private static int Nearest(ScoredBox box, List<ScoredBox> among, float cornerTolerance)
    {
        int best = -1;
        for (int i = 0; i < among.Count; i++)
        {
            if (Resembles(among[i], box, cornerTolerance) &&
                (best < 0 || Math.Abs(among[i].Score - box.Score) < Math.Abs(among[best].Score - box.Score)))
                best = i;
        }

        return best;
    }

    /// <summary>Same label and the same place. Overlap alone says nothing of boxes so thin that their area is lost in rounding.</summary>
    private static bool Resembles(ScoredBox a, ScoredBox b, float cornerTolerance) =>
        a.Label == b.Label && (Overlap(a, b) > SameObject || CornerDifference(a, b) <= cornerTolerance);

    private static float CornerDifference(ScoredBox a, ScoredBox b) => Math.Max(
        Math.Max(Math.Abs(a.X1 - b.X1), Math.Abs(a.Y1 - b.Y1)), Math.Max(Math.Abs(a.X2 - b.X2), Math.Abs(a.Y2 - b.Y2)));

    private static double Overlap(ScoredBox a, ScoredBox b)
    {
        double width = Math.Max(Math.Min((double)a.X2, b.X2) - Math.Max((double)a.X1, b.X1) + 1, 0);
        double height = Math.Max(Math.Min((double)a.Y2, b.Y2) - Math.Max((double)a.Y1, b.Y1) + 1, 0);
        double common = width * height;
        return common / (Area(a) + Area(b) - common);
    }

    private static double Area(ScoredBox box) => ((double)box.X2 - box.X1 + 1) * ((double)box.Y2 - box.Y1 + 1);

    /// <summary>Looks for the border at which each unmatched detection stands.</summary>
    private sealed class Explanation(
        IReadOnlyList<ScoredBox> expected,
        IReadOnlyList<ScoredBox> actual,
        SelectionBorders? borders,
        float scoreTolerance,
        float cornerTolerance,
        int detectionsPerImage)
    {
        private readonly List<RelaxedCandidate> _kept = [];

        public void Explain(List<ScoredBox> expectedOnly, List<ScoredBox> actualOnly, DetectionComparison result)
        {
            _kept.AddRange(expected.Concat(actual).Select(Find).OfType<RelaxedCandidate>());
            List<Unmatched> open =
            [
                .. expectedOnly.Select(b => new Unmatched(b, true, Find(b)))
                    .Concat(actualOnly.Select(b => new Unmatched(b, false, Find(b))))
                    .OrderByDescending(u => u.Box.Score),
            ];
            var explained = new List<Unmatched>();

            // One flip causes others (a box appears and suppresses the next, or pushes the last over the cut), so until nothing changes.
            for (bool progress = true; progress;)
            {
                progress = false;
                foreach (var one in open.ToList())
                {
                    if ((OwnBorder(one) ?? Consequence(one, open, explained)) is not { } reason)
                        continue;
                    result.ExplainedList.Add($"only in {one.Side}: {one.Box}: {reason}");
                    explained.Add(one);
                    _ = open.Remove(one);
                    progress = true;
                }
            }

            foreach (var one in open)
                result.ProblemList.Add($"only in {one.Side}: {one.Box}; {Nearby(one)}");
        }

        private string? OwnBorder(Unmatched one)
        {
            var other = Other(one);
            if (other.Count >= detectionsPerImage && Math.Abs(one.Box.Score - other.Min(b => b.Score)) <= scoreTolerance)
                return $"its score is at the cut per image, {other.Min(b => b.Score):F6}";
            if (borders is null || one.Candidate is not { } candidate)
                return null;
            if (Math.Abs(candidate.Probability - borders.InferenceThreshold) <= scoreTolerance)
                return $"its probability {candidate.Probability:F6} is at the threshold {borders.InferenceThreshold:F6}";
            if (LevelCut(candidate.Level) is { } cut && Math.Abs(candidate.Box.Score - cut) <= scoreTolerance)
                return $"its score is at the cut of level {candidate.Level}, {cut:F6}";
            foreach (var kept in _kept)
            {
                double overlap = Overlap(kept.Box, candidate.Box);
                if (kept.Box.Label == candidate.Box.Label && kept.Box.Score >= candidate.Box.Score - scoreTolerance &&
                    Math.Abs(overlap - borders.NmsThreshold) <= borders.OverlapTolerance)
                    return $"it overlaps {kept.Box} by {overlap:F4}";
            }

            return null;
        }

        private string? Consequence(Unmatched one, List<Unmatched> open, List<Unmatched> explained)
        {
            var other = Other(one);
            if (other.Count >= detectionsPerImage && one.Box.Score < other.Min(b => b.Score))
            {
                int pushedIn = explained.Count(u => u.Expected != one.Expected);
                int pushedOut = explained.Count(u => u.Expected == one.Expected);
                if (pushedOut < pushedIn)
                    return "a box that is only in the other list pushed it over the cut per image";
            }

            if (borders is null || one.Candidate is not { } candidate)
                return null;
            foreach (var rival in open.Concat(explained))
            {
                if (rival.Expected == one.Expected || rival.Candidate is not { } rivalling || rivalling == candidate ||
                    rivalling.Box.Label != candidate.Box.Label)
                    continue;
                double overlap = Overlap(rivalling.Box, candidate.Box);
                if (overlap < borders.NmsThreshold - borders.OverlapTolerance)
                    continue;
                if (Math.Abs(rivalling.Box.Score - candidate.Box.Score) <= scoreTolerance)
                    return $"it ties with {rivalling.Box}, which it overlaps by {overlap:F4}";
                if (rivalling.Box.Score > candidate.Box.Score && explained.Contains(rival))
                    return $"the other list has {rivalling.Box} instead, which suppresses it";
            }

            return null;
        }

        /// <summary>Score of the last candidate that a level keeps, or null if it keeps all.</summary>
        private float? LevelCut(int level)
        {
            var scores = borders!.Candidates
                .Where(c => c.Level == level && c.Probability > borders.InferenceThreshold)
                .Select(c => c.Box.Score)
                .OrderDescending()
                .ToList();
            return scores.Count > borders.PreNmsTopN ? scores[borders.PreNmsTopN - 1] : null;
        }

        private string Nearby(Unmatched one)
        {
            if (borders is not null && one.Candidate is null)
                return "no candidate resembles it";
            var rivals = Other(one).Where(b => b.Label == one.Box.Label).OrderByDescending(b => Overlap(b, one.Box)).ToList();
            return rivals.Count == 0
                ? "the other list has no box of this label"
                : string.Create(
                    CultureInfo.InvariantCulture, $"nearest in the other list, overlap {Overlap(rivals[0], one.Box):F4}: {rivals[0]}");
        }

        private IReadOnlyList<ScoredBox> Other(Unmatched one) => one.Expected ? actual : expected;

        private RelaxedCandidate? Find(ScoredBox box)
        {
            RelaxedCandidate? best = null;
            if (borders is null)
                return best;
            foreach (var candidate in borders.Candidates)
            {
                float distance = Math.Abs(candidate.Box.Score - box.Score);
                if (distance <= scoreTolerance &&
                    Resembles(candidate.Box.Scaled(borders.ScaleX, borders.ScaleY), box, cornerTolerance) &&
                    (best is null || distance < Math.Abs(best.Value.Box.Score - box.Score)))
                    best = candidate;
            }

            return best;
        }

        private sealed record Unmatched(ScoredBox Box, bool Expected, RelaxedCandidate? Candidate)
        {
            public string Side => Expected ? "expected" : "actual";
        }
    }
}
