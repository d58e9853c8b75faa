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

    /// <summary>e^x, in units in the last place: two roundings after an argument reduction and a polynomial that are good to a few hundredths. 0.98 measured.</summary>
    public const double ExpUlp = 1;

    /// <summary>1/(1 + e^−x), in units in the last place: the exponential counts in full for large negative x, then an addition and a division. 2.35 measured.</summary>
    public const double SigmoidUlp = 2.5;

    /// <summary>hard sigmoid, absolute: the addition rounds by at most half a unit in the last place of 4 before the division by 6.</summary>
    public const double HardSigmoid = 2 * Unit;

    /// <summary>Where floats turn denormal: what underflows may be wrong by this much.</summary>
    public const double Underflow = 1.2e-38;

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

    /// <summary>GELU, in units in the last place, with fused multiply-add: what the products lose is put back; the polynomial and the last sum count. 2.6 measured.</summary>
    public const double GeluUlp = 3;

    /// <summary>
    /// GELU, relative, by any instruction set. Where x²/2 is rounded (no fused multiply-add) the exponential passes that on x²/2 times as large, and the roundings
    /// of three products stay in.
    /// </summary>
    public static double Gelu(double x) => (2 * GeluUlp * Unit) + (x < 0 ? (2 + (x * x / 2)) * Unit : 0);

    /// <summary>
    /// Bilinear resize of values up to 1, absolute: the source position rounds by units of the map's side, and the map's slope (up to 2 a cell) turns
    /// that into values; four more for the weights and sums.
    /// </summary>
    public static double Bilinear(int height, int width) => ((2 * (height + width)) + 4) * Unit;

    /// <summary>
    /// A row's normalisation, relative to its largest result: mean and variance are sums over the row, then subtraction, scale, affine. For
    /// rows whose mean is no larger than a few times their spread; cancellation costs in proportion otherwise.
    /// </summary>
    public static double Norm(int terms) => 2 * Sum(terms);

    /// <summary>A softmax, relative to each result: the exponential, the sum and its division; the subtraction of the maximum rounds by its size.</summary>
    /// <param name="terms">Values of the row.</param>
    /// <param name="spread">Largest distance from the row's maximum whose weight still counts.</param>
    public static double Softmax(int terms, double spread) => Sum(terms) + ((2 + spread) * Unit);

    /// <summary>
    /// Attention over values up to 1, absolute: an error of a score is a relative error of its weight and of the others' sum; then a softmax and a
    /// weighted sum.
    /// </summary>
    /// <param name="tokens">Keys.</param>
    /// <param name="headDim">Length of the scores' sums.</param>
    /// <param name="magnitude">Largest score, counted as a sum of magnitudes.</param>
    public static double Attention(int tokens, int headDim, double magnitude) => (2 * magnitude * Sum(headDim)) + Softmax(tokens, 2 * magnitude) + Sum(tokens);
}
