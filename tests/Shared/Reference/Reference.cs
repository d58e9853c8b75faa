namespace Glip.Tests;

/// <summary>
/// The kernels' formulas as plain loops in double precision: slow, obvious, and what every kernel is judged by. Layouts are the kernels' own.
/// </summary>
/// <remarks>Where a result is a sum of products, the same loops over absolute values (<see cref="Abs"/>) give the magnitudes that rounding errors scale with.</remarks>
public static partial class Reference
{
    /// <summary>The same values in double precision.</summary>
    public static double[] Widen(ReadOnlySpan<float> values)
    {
        var result = new double[values.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = values[i];
        return result;
    }

    /// <summary>Absolute values.</summary>
    public static double[] Abs(ReadOnlySpan<double> values)
    {
        var result = new double[values.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = Math.Abs(values[i]);
        return result;
    }

    /// <summary>Element by element.</summary>
    public static double[] Map(ReadOnlySpan<double> values, Func<double, double> function)
    {
        var result = new double[values.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = function(values[i]);
        return result;
    }

    /// <summary>Sum of two.</summary>
    public static double[] Add(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        var result = new double[a.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = a[i] + b[i];
        return result;
    }
}
