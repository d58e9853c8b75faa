using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Transcendental functions over any op table.</summary>
internal static class VectorMath
{
    // Below this the result is denormal and becomes 0; above, it overflows.
    private const float ExpLow = -87.33654f;
    private const float ExpHigh = 88.37626f;

    // From here on Φ is 1 and Φ(−x) is 0; squares of what lies far beyond would overflow.
    private const float GeluFlat = 20f;

    // Adding and subtracting 1.5·2^23 rounds to the nearest whole number without a rounding instruction.
    private const float RoundingShift = 12582912f;

    /// <summary>
    /// e to the power of x, within 1 ulp. Arguments below −87.3 give 0, above 88.37 about 2.4e38.
    /// </summary>
    /// <remarks>
    /// Cody-Waite reduction x = n·ln 2 + r, |r| ≤ ln 2 / 2, then 1 + r + r²·q(r) with a minimax q of degree 4 (relative error 3e-9
    /// before rounding). No result is denormal: softmax gives masked scores such weights by the thousand, and each product with one costs x64
    /// processors a hundred cycles.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Exp<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec low = TOps.Broadcast(ExpLow), inside = TOps.Min(TOps.Max(x, low), TOps.Broadcast(ExpHigh));
        TVec shift = TOps.Broadcast(RoundingShift);
        TVec n = TOps.Subtract(TOps.Add(TOps.Multiply(inside, TOps.Broadcast(1.44269504f)), shift), shift);
        TVec r = TOps.MultiplyAdd(n, TOps.Broadcast(-0.693359375f), inside);
        r = TOps.MultiplyAdd(n, TOps.Broadcast(2.12194440e-4f), r);
        TVec q = TOps.Broadcast(0.0013814540579915047f);
        q = TOps.MultiplyAdd(q, r, TOps.Broadcast(0.00836874544620514f));
        q = TOps.MultiplyAdd(q, r, TOps.Broadcast(0.04166838899254799f));
        q = TOps.MultiplyAdd(q, r, TOps.Broadcast(0.1666652113199234f));
        q = TOps.MultiplyAdd(q, r, TOps.Broadcast(0.4999999403953552f));
        TVec y = TOps.Add(TOps.MultiplyAdd(TOps.Multiply(r, r), q, r), TOps.Broadcast(1f));
        return TOps.SelectLess(x, low, TOps.Broadcast(0f), TOps.Multiply(y, TOps.PowerOfTwo(n)));
    }

    /// <summary>Logistic function <c>1 / (1 + e^−x)</c>, within 2.5 ulp from −87.3 up; below, no more than 5e-39.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Sigmoid<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec one = TOps.Broadcast(1f);
        return TOps.Divide(one, TOps.Add(one, Exp<TOps, TVec>(TOps.Subtract(TOps.Broadcast(0f), x))));
    }

    /// <summary>
    /// The exact GELU <c>x · Φ(x) = 0.5 x (1 + erf(x / √2))</c>, accurate in the left tail too: within 7 ulp down to x = −9 with fused multiply-add, x²/2 ulp
    /// more without; below −13.2 the result is 0.
    /// </summary>
    /// <remarks>
    /// With z = |x|/√2: Φ(−|x|) = ½ erfcx(z) e^(−z²), where erfcx(z) ≈ t·p(t), t = 1/(1 + 0.45 z), p a minimax polynomial of
    /// degree 8 fitted on z in 0..6.6 (relative error 2.5e-8 before rounding). z² is taken as x²/2, whose rounding error a fused multiply-add
    /// knows; it is put back into the exponential, which would multiply it by z².
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Gelu<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec zero = TOps.Broadcast(0f);
        TVec one = TOps.Broadcast(1f);
        TVec u = TOps.Min(TOps.Abs(x), TOps.Broadcast(GeluFlat));
        TVec z = TOps.Multiply(u, TOps.Broadcast(0.70710678f));
        TVec t = TOps.Divide(one, TOps.MultiplyAdd(z, TOps.Broadcast(0.45f), one));
        TVec p = TOps.Broadcast(-0.03607838973402977f);
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.23796311020851135f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(-0.5840775370597839f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.5901184678077698f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(-0.21424368023872375f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.29313650727272034f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.2023683339357376f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.2570999562740326f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.2537132203578949f));
        TVec half = TOps.Multiply(u, TOps.Broadcast(0.5f));
        TVec square = TOps.Multiply(half, u);
        TVec lost = TOps.MultiplyAdd(half, u, TOps.Subtract(zero, square));
        TVec tail = Exp<TOps, TVec>(TOps.Subtract(zero, square));
        tail = TOps.Subtract(tail, TOps.Multiply(tail, lost));
        tail = TOps.Multiply(TOps.Multiply(TOps.Broadcast(0.5f), tail), TOps.Multiply(p, t));
        return TOps.Multiply(x, TOps.SelectLess(x, zero, tail, TOps.Subtract(one, tail)));
    }
}
