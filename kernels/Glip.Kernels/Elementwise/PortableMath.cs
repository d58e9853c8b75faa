using System.Runtime.Intrinsics;

namespace Glip.Kernels;

/// <summary>
/// Functions of single numbers and short rows that give the same bits on every processor: <see cref="MathF"/>'s come from the platform's C library, and library sums follow
/// the width of its vectors. For the arithmetic around the kernels, which depends on no <see cref="KernelContext"/>.
/// </summary>
public static unsafe class PortableMath
{
    // Beyond these the result rounds to 0 or ∞.
    private const double ExpLow = -104;
    private const double ExpHigh = 89;

    /// <summary>
    /// e to the power of x: the nearest float in all but one of some million cases, which are off by one unit in the last place; NaN stays NaN, large arguments give ∞.
    /// </summary>
    /// <remarks>x = n·ln 2 + r, |r| ≤ ln 2 / 2, and the series of eʳ to r¹², in double precision: sums, products and a rounding, which IEEE 754 defines to the bit.</remarks>
    public static float Exp(float x)
    {
        if (float.IsNaN(x))
            return x;
        if (x < ExpLow)
            return 0;
        if (x > ExpHigh)
            return float.PositiveInfinity;
        double n = Math.Round(x * 1.4426950408889634), r = x - (n * 0.6931471805599453);
        double sum = 1;
        foreach (double inverse in (ReadOnlySpan<double>)[1.0 / 12, 1.0 / 11, 1.0 / 10, 1.0 / 9, 1.0 / 8, 1.0 / 7, 1.0 / 6, 1.0 / 5, 1.0 / 4, 1.0 / 3, 1.0 / 2, 1])
            sum = 1 + (r * inverse * sum);
        return (float)(sum * BitConverter.Int64BitsToDouble(((long)n + 1023) << 52));
    }

    /// <summary>Logistic function <c>1 / (1 + e^−x)</c>.</summary>
    public static float Sigmoid(float x) => 1 / (1 + Exp(-x));

    /// <summary>Sum of products, in the order of the set <see cref="SimdIsa.Portable"/>.</summary>
    /// <param name="a">[N].</param>
    /// <param name="b">[N] or longer.</param>
    public static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Check.Length(b, a.Length, nameof(b));
        fixed (float* pa = a)
        fixed (float* pb = b)
            return Rows.Dot<SimdPortable, Vector512<float>>(pa, pb, a.Length);
    }
}
