namespace Glip.Tests;

/// <summary>
/// How far a float32 kernel may be from the same formula in double precision, and why. The one table: tests take their limits from here.
/// A limit is widened only with a better reason, never to let a change pass.
/// </summary>
public static class Tolerance
{
    /// <summary>Largest relative error of one rounding to float32.</summary>
    public const double Unit = 1.0 / (1 << 24);

    /// <summary>Copies, gathers and selections do no arithmetic.</summary>
    public const double Exact = 0;

    /// <summary>
    /// e^x, in units in the last place: three roundings after an argument reduction that is good to half a unit. 1.02 measured
    /// with fused multiply-add, 1.30 without.
    /// </summary>
    public const double ExpUlp = 1.5;

    /// <summary>1/(1 + e^−x), in units in the last place: the exponential counts in full for large negative x, then an addition and a division.</summary>
    public const double SigmoidUlp = 2.5;

    /// <summary>hard sigmoid, in units in the last place of 1: an addition and a division.</summary>
    public const double HardSigmoidUlp = 1;

    /// <summary>
    /// GELU, relative, from x = −5 up: a polynomial (4e-7 with its roundings), the exponential, three products. Without fused
    /// multiply-add the lost half unit of z² grows by z² ≤ 12.5 through the exponential.
    /// </summary>
    public const double GeluRelative = 1.5e-6;

    /// <summary>GELU below x = −5, absolute: the result itself is under 1.5e-6 there.</summary>
    public const double GeluTail = 5e-12;

    /// <summary>
    /// What the specification demands of whole layers, relative to the largest result. Attention and feed-forward kernels chain norm, products and softmax; each
    /// step alone stays near 1e-6.
    /// </summary>
    public const double Layer = 1e-5;

    /// <summary>
    /// A sum of products, relative to the sum of their magnitudes: rounding errors of a long sum are as good as independent, so they grow with
    /// its root (Higham and Mary, 2019). 4 for what happens before and after: scale, bias, residual.
    /// </summary>
    public static double Sum(int terms) => (4 + Math.Sqrt(terms)) * Unit;

    /// <summary>
    /// A row's normalisation, relative to its largest result: mean and variance are sums over the row, then subtraction, scale, affine. For
    /// rows whose mean is no larger than a few times their spread; cancellation costs in proportion otherwise.
    /// </summary>
    public static double Norm(int terms) => 2 * Sum(terms);

    /// <summary>A softmax, relative to each result: the exponential, the sum and its division; the subtraction of the maximum rounds by its size.</summary>
    /// <param name="terms">Values of the row.</param>
    /// <param name="spread">Largest distance from the row's maximum whose weight still counts.</param>
    public static double Softmax(int terms, double spread) => Sum(terms) + ((2 + spread) * Unit);
}
