using System.Globalization;
using System.Text;

namespace Glip.Tests;

/// <summary>Compares a trace with a recording, stage by stage in the order of computation; the first bad stage is the culprit.</summary>
public static class StageComparison
{
    // Not computed by design: the class logits are unused by detection, the aggregate text vector is never read.
    private static readonly string[] s_notComputed = ["head.cls_logits.", "lang.aggregate"];

    /// <summary>Fails with a table of all stages if one is off.</summary>
    public static void AssertEqual(GoldenCase expected, StageCollector actual, bool large = false)
    {
        var report = new StringBuilder();
        string? firstBad = null;
        foreach ((string key, GoldenTensor tensor) in expected.Expected)
        {
            bool sampled = key.StartsWith("sample.", StringComparison.Ordinal);
            string name = sampled ? key["sample.".Length..] : key;
            if (s_notComputed.Any(n => name.StartsWith(n, StringComparison.Ordinal)) || name.StartsWith("det.", StringComparison.Ordinal) || name.StartsWith("final.", StringComparison.Ordinal))
                continue;
            string? problem = actual.Has(name)
                ? sampled ? CompareSamples(name, tensor, expected, actual, large) : Compare(name, tensor, expected, actual, large, report)
                : "missing";
            if (problem is null)
                continue;
            firstBad ??= name;
            report.AppendLine(CultureInfo.InvariantCulture, $"  {name}: {problem}");
        }

        Assert.True(firstBad is null, $"first bad stage: {firstBad}\n{report}");
    }

    /// <summary>Largest difference allowed, relative to the tensor's largest value (recorded with the goldens, with their reasons).</summary>
    public static double ToleranceOf(string name, bool large)
    {
        // P6 and P7 have few cells: a group norm over few values amplifies rounding. GLIP-L's 24 modules accumulate more than GLIP-T's 18.
        if (name.StartsWith("tower.", StringComparison.Ordinal) || name.StartsWith("head.", StringComparison.Ordinal))
            return name.EndsWith(".P6", StringComparison.Ordinal) || name.EndsWith(".P7", StringComparison.Ordinal) ? 3e-4 : large ? 1.5e-4 : 6e-5;
        return 1e-5;
    }

    private static string? Compare(string name, GoldenTensor expected, GoldenCase run, StageCollector actual, bool large, StringBuilder report)
    {
        switch (expected.Type)
        {
            case "U8":
                return expected.Byte.SequenceEqual(actual.Bytes(name)) ? null : "bytes differ";
            case "I64":
                return expected.Long.SequenceEqual(actual.Longs(name)) ? null : "integers differ";
            default:
                break;
        }

        // Recordings may hold all 256 text rows or logit columns; we compute the real ones.
        ReadOnlySpan<float> values = actual.Floats(name), wanted = RealTokens(expected, actual.Shape(name));
        if (wanted.Length != values.Length)
            return $"recorded [{string.Join(", ", expected.Shape)}], computed [{string.Join(", ", actual.Shape(name))}]";
        double largest = 0, worst = 0;
        int where = 0;
        for (int i = 0; i < wanted.Length; i++)
        {
            largest = Math.Max(largest, Math.Abs(wanted[i]));
            double difference = Math.Abs((double)wanted[i] - values[i]);
            if (!(difference <= worst))
                (worst, where) = (difference, i);
        }

        double relative = largest == 0 ? worst : worst / largest;
        report.AppendLine(CultureInfo.InvariantCulture, $"  {name}: {relative:E1} at {where}");
        return relative <= ToleranceOf(name, large) ? null : $"OFF by {relative:E2} of the largest value {largest:G4} at element {where}";
    }

    private static string? CompareSamples(string name, GoldenTensor expected, GoldenCase run, StageCollector actual, bool large)
    {
        int step = run.Steps[name];
        if (name == "pre.resized_u8")
        {
            ReadOnlySpan<byte> bytes = actual.Bytes(name);
            for (int i = 0; i < expected.Float.Length; i++)
            {
                if (bytes[i * step] != expected.Float[i])
                    return $"byte {i * step} is {bytes[i * step]}, recorded {expected.Float[i]}";
            }

            return null;
        }

        if (expected.Type == "I64")
            return null;
        ReadOnlySpan<float> values = actual.Floats(name);
        double largest = run.Magnitudes[name];
        for (int i = 0; i < expected.Float.Length; i++)
        {
            double relative = Math.Abs((double)values[i * step] - expected.Float[i]) / largest;
            if (!(relative <= ToleranceOf(name, large)))
                return $"OFF by {relative:E2} of the largest value {largest:G4} at element {i * step}";
        }

        return null;
    }

    private static float[] RealTokens(GoldenTensor tensor, int[] shape)
    {
        ReadOnlySpan<float> values = tensor.Float;
        if (tensor.Shape.Length != 3 || tensor.Shape.AsSpan().SequenceEqual(shape))
            return values.ToArray();
        var cut = new List<float>();
        for (int row = 0; row < Math.Min(shape[1], tensor.Shape[1]); row++)
            cut.AddRange(values.Slice(row * tensor.Shape[2], Math.Min(shape[2], tensor.Shape[2])));
        return [.. cut];
    }
}
