using System.Diagnostics;

namespace Glip.Managed.Postprocessing;

/// <summary>Greedy non-maximum suppression within each label, and the cut to the best boxes of an image.</summary>
internal static class Nms
{
    /// <summary>
    /// Keeps each box that no stronger kept box of its label overlaps by more than <paramref name="threshold"/>, and of the kept ones the
    /// <paramref name="limit"/> best, with all that tie with the last of them.
    /// </summary>
    /// <param name="candidates">In descending score; among equal scores the earlier one wins.</param>
    /// <param name="threshold">Largest <see cref="Overlap"/> that two kept boxes of a label may have.</param>
    /// <param name="limit">Boxes to keep, ties aside; at least 1.</param>
    /// <param name="kept">Receives indices into <paramref name="candidates"/>, ascending; at least as long as it.</param>
    /// <returns>How many were kept.</returns>
    /// <remarks>
    /// A box is dropped by stronger ones only, so once <paramref name="limit"/> are kept the first weaker box ends the search: the cost is
    /// candidates × limit, not its square.
    /// </remarks>
    public static int Select(ReadOnlySpan<Candidate> candidates, float threshold, int limit, Span<int> kept)
    {
        Debug.Assert(limit > 0 && kept.Length >= candidates.Length);
        int count = 0;
        for (int i = 0; i < candidates.Length; i++)
        {
            ref readonly var candidate = ref candidates[i];
            Debug.Assert(i == 0 || candidate.Score <= candidates[i - 1].Score, "candidates must be in descending score");
            if (count >= limit && candidate.Score < candidates[kept[count - 1]].Score)
                break;
            if (!IsSuppressed(in candidate, candidates, kept[..count], threshold))
                kept[count++] = i;
        }

        return count;
    }

    /// <summary>Intersection over union with inclusive widths (<c>X2 − X1 + 1</c>), so a box clipped to a line still has an area.</summary>
    public static float Overlap(Box a, Box b)
    {
        float width = MathF.Max(MathF.Min(a.X2, b.X2) - MathF.Max(a.X1, b.X1) + 1, 0);
        float height = MathF.Max(MathF.Min(a.Y2, b.Y2) - MathF.Max(a.Y1, b.Y1) + 1, 0);
        float common = width * height;
        return common / (Area(a) + Area(b) - common);
    }

    private static bool IsSuppressed(in Candidate candidate, ReadOnlySpan<Candidate> candidates, ReadOnlySpan<int> kept, float threshold)
    {
        foreach (int k in kept)
        {
            ref readonly var stronger = ref candidates[k];
            if (stronger.Label == candidate.Label && Overlap(stronger.Box, candidate.Box) > threshold)
                return true;
        }

        return false;
    }

    private static float Area(Box box) => (box.X2 - box.X1 + 1) * (box.Y2 - box.Y1 + 1);
}
