using System.Globalization;

namespace Glip.Tests;

/// <summary>Comparisons of float32 results with double-precision references. Failures name the worst element.</summary>
public static class Close
{
    /// <summary>Demands |actual − expected| ≤ tolerance × (largest |expected|) of every element.</summary>
    public static void ToLargest(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double tolerance, string what)
    {
        double largest = 0;
        foreach (double value in expected)
            largest = Math.Max(largest, Math.Abs(value));
        var allowed = new double[expected.Length];
        Array.Fill(allowed, largest * tolerance);
        Within(expected, actual, allowed, what);
    }

    /// <summary>Demands |actual − expected| ≤ tolerance × magnitude element by element.</summary>
    public static void ToMagnitudes(ReadOnlySpan<double> expected, ReadOnlySpan<double> magnitudes, ReadOnlySpan<float> actual, double tolerance, string what)
    {
        var allowed = new double[expected.Length];
        for (int i = 0; i < allowed.Length; i++)
            allowed[i] = Math.Abs(magnitudes[i]) * tolerance;
        Within(expected, actual, allowed, what);
    }

    /// <summary>Demands |actual − expected| ≤ allowed element by element.</summary>
    public static void Within(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, ReadOnlySpan<double> allowed, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double worst = 0;
        int at = -1;
        for (int i = 0; i < expected.Length; i++)
        {
            double difference = Math.Abs(actual[i] - expected[i]);

            // Written so that NaN fails.
            if (difference <= allowed[i])
                continue;
            double excess = double.IsNaN(difference) ? double.PositiveInfinity : difference / allowed[i];
            if (at < 0 || excess > worst)
                (worst, at) = (excess, i);
        }

        if (at >= 0)
        {
            Assert.Fail(string.Create(
                CultureInfo.InvariantCulture,
                $"{what}: element {at} of {expected.Length} is {actual[at]:R}, expected {expected[at]:R} ± {allowed[at]:G3} ({worst:G3} times the limit)"));
        }
    }

    /// <summary>Demands the same bits.</summary>
    public static void Bits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            if (BitConverter.SingleToUInt32Bits(expected[i]) != BitConverter.SingleToUInt32Bits(actual[i]))
                Assert.Fail(string.Create(CultureInfo.InvariantCulture, $"{what}: element {i} of {expected.Length} is {actual[i]:R}, not {expected[i]:R}"));
        }
    }
}
