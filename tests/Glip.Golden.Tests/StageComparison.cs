using System.Globalization;
using System.Text;

namespace Glip.Tests;

/// <summary>How one stage compares with its recording.</summary>
/// <param name="Name">The stage.</param>
/// <param name="Error">Largest difference, as a part of the stage's largest value.</param>
/// <param name="Problem">What is wrong; null if nothing is.</param>
public sealed record StageResult(string Name, double Error, string? Problem);

/// <summary>Compares a trace with a recording, stage by stage in the order of computation; the first bad stage is the culprit.</summary>
public static class StageComparison
{
    // Not computed by design: the class logits are unused by detection, the aggregate text vector is never read.
    // Selections are lists whose order and borderline members may differ: see FinalDetections.
    private static readonly string[] s_notCompared = ["head.cls_logits.", "lang.aggregate", "det.", "final."];

    /// <summary>Fails with a table of all stages if one is off; gives them otherwise.</summary>
    public static IReadOnlyList<StageResult> AssertEqual(GoldenCase expected, StageCollector actual)
    {
        IReadOnlyList<StageResult> stages = Compare(expected, actual);
        StageResult? first = stages.FirstOrDefault(s => s.Problem is not null);
        Assert.True(first is null, $"first bad stage: {first?.Name}\n{Table(stages)}");
        return stages;
    }

    /// <summary>All recorded stages, in the order of computation.</summary>
    public static IReadOnlyList<StageResult> Compare(GoldenCase expected, StageCollector actual)
    {
        const string Sample = "sample.";
        var results = new List<StageResult>();
        foreach ((string key, GoldenTensor tensor) in expected.Expected)
        {
            bool sampled = key.StartsWith(Sample, StringComparison.Ordinal);
            string name = sampled ? key[Sample.Length..] : key;
            if (s_notCompared.Any(n => name.StartsWith(n, StringComparison.Ordinal)))
                continue;
            double tolerance = tensor.Type == "F32" ? ToleranceOf(name, expected.IsLarge) : 0;
            results.Add(
                !actual.Has(name) ? new StageResult(name, double.PositiveInfinity, "missing")
                : sampled ? CompareSamples(name, tensor, expected.Statistics[name], actual.Values(name), tolerance)
                : CompareWhole(name, tensor, actual, tolerance));
        }

        return results;
    }

    /// <summary>Largest difference allowed, relative to the tensor's largest value (recorded with the goldens, with their reasons).</summary>
    public static double ToleranceOf(string name, bool large)
    {
        // P6 and P7 have few cells: a group norm over few values amplifies rounding. GLIP-L's 24 modules accumulate more than GLIP-T's 18.
        if (name.StartsWith("tower.", StringComparison.Ordinal) || name.StartsWith("head.", StringComparison.Ordinal))
            return IsCoarse(name) ? 3e-4 : large ? 1.5e-4 : 6e-5;
        return 1e-5;
    }

    /// <summary>The largest error of each part of the network, on one line.</summary>
    public static string Summary(IEnumerable<StageResult> stages) =>
        string.Join(", ", stages.GroupBy(s => GroupOf(s.Name)).Select(g => $"{g.Key} {g.Max(s => s.Error).ToString("E1", CultureInfo.InvariantCulture)}"));

    private static string GroupOf(string name)
    {
        string part = name.Split('.')[0];
        return part is "tower" or "head" ? $"{part} {(IsCoarse(name) ? "P6, P7" : "P3..P5")}" : part;
    }

    private static bool IsCoarse(string name) => name.EndsWith(".P6", StringComparison.Ordinal) || name.EndsWith(".P7", StringComparison.Ordinal);

    private static StageResult CompareWhole(string name, GoldenTensor tensor, StageCollector actual, double tolerance)
    {
        float[] wanted = RealTokens(tensor, actual.Shape(name)), found = actual.Values(name);
        return wanted.Length == found.Length
            ? Result(name, Difference.Between(wanted, found), tolerance)
            : new StageResult(
                name, double.PositiveInfinity, $"recorded [{string.Join(", ", tensor.Shape)}], computed [{string.Join(", ", actual.Shape(name))}]");
    }

    private static StageResult CompareSamples(string name, GoldenTensor tensor, StageStatistics statistics, float[] values, double tolerance)
    {
        float[] wanted = Values(tensor);
        if ((wanted.Length - 1) * statistics.Step >= values.Length)
            return new StageResult(name, double.PositiveInfinity, $"{wanted.Length} samples every {statistics.Step}, computed {values.Length} values");
        float[] found = [.. wanted.Select((_, i) => values[i * statistics.Step])];
        StageResult result = Result(name, Difference.Between(wanted, found, statistics.Largest), tolerance);

        // Between the samples a sum must do: if no element is off by more than allowed, neither is their mean.
        double mean = Math.Abs(values.Sum(v => Math.Abs((double)v)) - statistics.AbsoluteSum) / values.Length / statistics.Largest;
        return result.Problem is null && !(mean <= Math.Max(tolerance, 1e-9))
            ? result with { Problem = $"the mean magnitude is OFF by {mean:E2} of the largest value" }
            : result;
    }

    private static StageResult Result(string name, Difference difference, double tolerance) => new(
        name,
        difference.Relative,
        difference.Relative <= tolerance ? null : $"OFF by {difference.Relative:E2} of the largest value at element {difference.Index}");

    private static float[] Values(GoldenTensor tensor) => tensor.Type switch
    {
        "U8" => [.. tensor.Byte.ToArray().Select(b => (float)b)],
        "I64" => [.. tensor.Long.ToArray().Select(i => (float)i)],
        _ => tensor.Float.ToArray(),
    };

    /// <summary>Recordings may hold all 256 text rows or logit columns; we compute the real ones.</summary>
    private static float[] RealTokens(GoldenTensor tensor, int[] shape)
    {
        float[] values = Values(tensor);
        if (tensor.Shape.Length != 3 || tensor.Shape.AsSpan().SequenceEqual(shape))
            return values;
        var cut = new List<float>();
        for (int row = 0; row < Math.Min(shape[1], tensor.Shape[1]); row++)
            cut.AddRange(values.AsSpan(row * tensor.Shape[2], Math.Min(shape[2], tensor.Shape[2])));
        return [.. cut];
    }

    private static string Table(IEnumerable<StageResult> stages)
    {
        var table = new StringBuilder();
        foreach (StageResult stage in stages)
            _ = table.AppendLine(CultureInfo.InvariantCulture, $"  {stage.Name}: {stage.Problem ?? stage.Error.ToString("E1", CultureInfo.InvariantCulture)}");
        return table.ToString();
    }
}
