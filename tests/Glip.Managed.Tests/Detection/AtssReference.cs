using System.Numerics;
using Glip.Kernels;
using Glip.Managed.Postprocessing;

namespace Glip.Managed.Tests.Postprocessing;

/// <summary>
/// Selection in plain loops: every probability computed, everything sorted, every pair compared. In float it takes the same roundings as
/// <see cref="AtssPostProcessor"/> and must give the same bits; in double it says what the numbers ought to be.
/// </summary>
internal static class AtssReference<T>
    where T : IBinaryFloatingPointIeee754<T>
{
    public sealed record Found(T X1, T Y1, T X2, T Y2, T Score, int Label, int Level, int Cell, T Probability, T Rank)
    {
        public Candidate ToCandidate() => new(
            new(float.CreateChecked(X1), float.CreateChecked(Y1), float.CreateChecked(X2), float.CreateChecked(Y2)),
            float.CreateChecked(Score),
            Label,
            Level,
            Cell,
            float.CreateChecked(Probability));
    }

    public sealed record Result(List<Found> PreNms, List<Found> Selected, List<Found> Final);

    public static Result Select(HeadOutput head, AtssSettings settings)
    {
        var preNms = InOrder(head.Levels.SelectMany((level, index) => Candidates(head, level, index, settings)));

        var unsuppressed = new List<Found>();
        foreach (var one in preNms)
        {
            if (!unsuppressed.Any(k => k.Label == one.Label && Overlap(k, one) > T.CreateChecked(settings.NmsThreshold)))
                unsuppressed.Add(one);
        }

        var selected = unsuppressed;
        if (unsuppressed.Count > settings.DetectionsPerImage)
        {
            var least = unsuppressed.Select(d => d.Score).OrderDescending().ElementAt(settings.DetectionsPerImage - 1);
            selected = [.. unsuppressed.Where(d => d.Score >= least)];
        }

        var scaleX = T.CreateChecked((double)head.OriginalWidth / head.ImageWidth);
        var scaleY = T.CreateChecked((double)head.OriginalHeight / head.ImageHeight);
        var final = selected
            .Select(d => d with { X1 = d.X1 * scaleX, Y1 = d.Y1 * scaleY, X2 = d.X2 * scaleX, Y2 = d.Y2 * scaleY })
            .OrderByDescending(d => d.Score).ThenBy(d => d.Label)
            .ThenBy(d => d.X1).ThenBy(d => d.Y1).ThenBy(d => d.X2).ThenBy(d => d.Y2)
            .ThenBy(d => d.Level).ThenBy(d => d.Cell);
        return new(preNms, selected, [.. final]);
    }

    private static IEnumerable<Found> Candidates(HeadOutput head, HeadLevel level, int levelIndex, AtssSettings settings)
    {
        var found = new List<Found>();
        for (int cell = 0; cell < level.Height * level.Width; cell++)
        {
            for (int label = 1; label <= head.LabelTokens.Count; label++)
            {
                var sum = T.Zero;
                foreach (int token in head.LabelTokens[label - 1])
                    sum += Sigmoid(level.Logits[(cell * level.LogitStride) + token]);
                var probability = sum / T.CreateChecked(head.LabelTokens[label - 1].Length);
                var rank = probability * Sigmoid(level.Centerness[cell]);
                if (probability > T.CreateChecked(settings.InferenceThreshold) && !T.IsNaN(rank))
                    found.Add(Decode(head, level, levelIndex, cell, label, probability, rank, settings.AnchorScale));
            }
        }

        return found
            .OrderByDescending(d => d.Rank).ThenBy(d => d.Cell).ThenBy(d => d.Label)
            .Take(settings.PreNmsTopN)
            .Where(d => !(T.IsNaN(d.X1) || T.IsNaN(d.Y1) || T.IsNaN(d.X2) || T.IsNaN(d.Y2)));
    }

    private static Found Decode(HeadOutput head, HeadLevel level, int levelIndex, int cell, int label, T probability, T rank, float scale)
    {
        var half = T.CreateChecked(0.5);
        var side = T.CreateChecked(scale * level.Stride);
        var largest = T.CreateChecked(4.135166556742356);
        var (left, right) = Along(cell % level.Width, level.BoxDeltas[4 * cell], level.BoxDeltas[(4 * cell) + 2], head.ImageWidth);
        var (top, bottom) = Along(cell / level.Width, level.BoxDeltas[(4 * cell) + 1], level.BoxDeltas[(4 * cell) + 3], head.ImageHeight);
        return new(left, top, right, bottom, T.Sqrt(rank), label, levelIndex, cell, probability, rank);

        (T Near, T Far) Along(int index, float shift, float logSize, int length)
        {
            var centre = T.CreateChecked((index * level.Stride) + ((level.Stride - 1) / 2f));
            centre = (T.CreateChecked(shift) / T.CreateChecked(10) * side) + centre;
            var size = Exp(T.Min(T.CreateChecked(logSize) / T.CreateChecked(5), largest)) * side;
            var reach = half * (size - T.One);
            var last = T.CreateChecked(length - 1);
            return (T.Min(T.Max(centre - reach, T.Zero), last), T.Min(T.Max(centre + reach, T.Zero), last));
        }
    }

    private static List<Found> InOrder(IEnumerable<Found> found) =>
        [.. found.OrderByDescending(d => d.Score).ThenBy(d => d.Level).ThenBy(d => d.Cell).ThenBy(d => d.Label)];

    private static T Overlap(Found a, Found b)
    {
        var width = T.Max(T.Min(a.X2, b.X2) - T.Max(a.X1, b.X1) + T.One, T.Zero);
        var height = T.Max(T.Min(a.Y2, b.Y2) - T.Max(a.Y1, b.Y1) + T.One, T.Zero);
        var common = width * height;
        return common / (Area(a) + Area(b) - common);
    }

    private static T Area(Found d) => (d.X2 - d.X1 + T.One) * (d.Y2 - d.Y1 + T.One);

    private static T Sigmoid(float logit) => T.One / (T.One + Exp(-T.CreateChecked(logit)));

    // In single precision the bits are the library's own exp's, which has tests of its own.
    private static T Exp(T x) => typeof(T) == typeof(float) ? T.CreateChecked(PortableMath.Exp(float.CreateChecked(x))) : T.Exp(x);
}
