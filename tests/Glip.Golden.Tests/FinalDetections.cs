using Glip.Managed;
using Glip.Managed.Postprocessing;

namespace Glip.Tests;

/// <summary>Compares the detections of a trace with the recorded ones, one to one, by the borderline rule.</summary>
public static class FinalDetections
{
    /// <summary>Fails if a detection has no partner and no border explains it; gives the comparison otherwise.</summary>
    public static DetectionComparison AssertEqual(GoldenCase golden, StageCollector stages)
    {
        DetectionComparison comparison = Compare(golden, stages);
        Assert.True(comparison.IsMatch, comparison.ToString());
        return comparison;
    }

    public static DetectionComparison Compare(GoldenCase golden, StageCollector stages, float scoreTolerance = 3e-5f, float cornerTolerance = 0.01f) =>
        DetectionMatcher.Compare(
            Recorded(golden),
            Read(stages.Floats("final.boxes"), stages.Floats("final.scores"), stages.Longs("final.labels")),
            Borders(golden, stages), scoreTolerance, cornerTolerance);

    public static IReadOnlyList<ScoredBox> Recorded(GoldenCase golden) =>
        Read(golden.Expected["final.boxes"].Float, golden.Expected["final.scores"].Float, golden.Expected["final.labels"].Long);

    /// <summary>What selection would have seen with a slightly lower threshold and no cut per level.</summary>
    public static SelectionBorders Borders(GoldenCase golden, StageCollector stages)
    {
        const float Lower = 0.98f;
        int[] resized = stages.Shape("pre.resized_u8");
        int height = resized[0], width = resized[1];
        var selection = new AtssPostProcessor(new AtssSettings { PreNmsTopN = int.MaxValue });
        var scratch = new AtssScratch();
        var trace = new AtssTrace();
        int[][] labels = [.. golden.LabelTokens.OrderBy(l => l.Key).Select(l => l.Value)];
        selection.Begin(scratch, labels, height, width, golden.InferenceThreshold * Lower);
        for (int level = 0; level < 5; level++)
            AddLevel(selection, scratch, stages, level);
        _ = selection.Select(scratch, height, width, trace);
        return new SelectionBorders
        {
            Candidates = [.. trace.PreNms.Select(c => new RelaxedCandidate(ToScored(c.Box, c.Score, c.Label), c.Level, c.Probability))],
            ScaleX = (double)golden.ImageWidth / width,
            ScaleY = (double)golden.ImageHeight / height,
            InferenceThreshold = golden.InferenceThreshold,
        };
    }

    private static void AddLevel(AtssPostProcessor selection, AtssScratch scratch, StageCollector stages, int level)
    {
        string name = $"P{level + 3}";
        int[] map = stages.Shape("head.bbox_reg." + name);
        int cells = map[2] * map[3], tokens = stages.Shape("head.dot_product_logits." + name)[2];
        ReadOnlySpan<float> planes = stages.Floats("head.bbox_reg." + name);
        var deltas = new float[planes.Length];
        for (int i = 0; i < deltas.Length; i++)
            deltas[i] = planes[(i % 4 * cells) + (i / 4)];
        var cellsOfLevel = new AtssLevel
        {
            Height = map[2],
            Width = map[3],
            Stride = 8 << level,
            BoxDeltas = deltas,
            Centerness = stages.Floats("head.centerness." + name),
        };
        selection.BeginLevel(scratch, cellsOfLevel);
        selection.Rank(scratch, cellsOfLevel, new AtssLogits
        {
            FirstCell = 0,
            Cells = cells,
            Values = stages.Floats("head.dot_product_logits." + name),
            Tokens = tokens,
            Stride = tokens,
        });
        selection.EndLevel(scratch, cellsOfLevel);
    }

    private static List<ScoredBox> Read(ReadOnlySpan<float> boxes, ReadOnlySpan<float> scores, ReadOnlySpan<long> labels)
    {
        var result = new List<ScoredBox>();
        for (int i = 0; i < scores.Length; i++)
            result.Add(ToScored(new Box(boxes[4 * i], boxes[(4 * i) + 1], boxes[(4 * i) + 2], boxes[(4 * i) + 3]), scores[i], (int)labels[i]));
        return result;
    }

    private static ScoredBox ToScored(Box box, float score, int label) => new(box.X1, box.Y1, box.X2, box.Y2, score, label);
}
