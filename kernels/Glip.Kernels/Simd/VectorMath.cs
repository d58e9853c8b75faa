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

    // As far as ISimd.NormalTail goes. Φ(−5.75) is less than a tenth of 1's last place: above zero nothing follows.
    private const float NormalTailEnd = 5.75f;

    // ln 2 in two parts; the first has so few digits that its product with n is exact.
    private const float Ln2High = 0.693359375f;
    private const float Ln2Low = -2.12194440e-4f;

    // Adding and subtracting 1.5·2^23 rounds to the nearest whole number without a rounding instruction; after the addition it stands in the lowest bits.
    internal const float RoundingShift = 12582912f;

    /// <summary>
    /// e to the power of x, within 1 ulp. Arguments below −87.3 give 0, above 88.37 about 2.4e38.
    /// </summary>
    /// <remarks>
    /// Cody-Waite reduction x = n·ln 2 + r, |r| ≤ ln 2 / 2, then 2^n (1 + r + r²·q(r)) with a minimax q of degree 4 (relative error 3e-9
    /// before rounding). No result is denormal: softmax gives masked scores such weights by the thousand, and each product with one costs x64
    /// processors a hundred cycles.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Exp<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec low = TOps.Broadcast(ExpLow), inside = TOps.Min(TOps.Max(x, low), TOps.Broadcast(ExpHigh));
        TVec n = WholeTwos<TOps, TVec>(inside);
        TVec r = TOps.MultiplyAdd(n, TOps.Broadcast(-Ln2High), inside);
        TVec m = ExpMinusOne<TOps, TVec>(TOps.MultiplyAdd(n, TOps.Broadcast(-Ln2Low), r));
        return TOps.SelectLess(x, low, TOps.Broadcast(0f), TOps.Multiply(TOps.Add(m, TOps.Broadcast(1f)), TOps.PowerOfTwo(n)));
    }

    /// <summary>The n of x = n·ln 2 + r.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVec WholeTwos<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec shift = TOps.Broadcast(RoundingShift);
        return TOps.Subtract(TOps.Add(TOps.Multiply(x, TOps.Broadcast(1.44269504f)), shift), shift);
    }

    /// <summary>e^r − 1 = r + r²·q(r) for |r| ≤ ln 2 / 2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVec ExpMinusOne<TOps, TVec>(TVec r)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec q = TOps.Broadcast(0.0013814540579915047f);
        q = TOps.MultiplyAdd(q, r, TOps.Broadcast(0.00836874544620514f));
        q = TOps.MultiplyAdd(q, r, TOps.Broadcast(0.04166838899254799f));
        q = TOps.MultiplyAdd(q, r, TOps.Broadcast(0.1666652113199234f));
        q = TOps.MultiplyAdd(q, r, TOps.Broadcast(0.4999999403953552f));
        return TOps.MultiplyAdd(TOps.Multiply(r, r), q, r);
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
    /// The exact GELU <c>x · Φ(x) = 0.5 x (1 + erf(x / √2))</c>, accurate in the left tail too: within 3 ulp down to x = −12.8, where the result turns
    /// denormal, with fused multiply-add; x²/2 ulp more without. Below −13.2 the result is 0.
    /// </summary>
    /// <remarks>Every lane's result depends on its own value only: one far below zero does not change its neighbours'.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Gelu<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec tail;
        if (TOps.HasNormalTail)
        {
            TVec near = TOps.Broadcast(NormalTailEnd), far = TOps.Broadcast(-NormalTailEnd);
            tail = TOps.Multiply(TOps.Min(x, TOps.Broadcast(GeluFlat)), TOps.NormalTail(TOps.Min(TOps.Abs(x), near)));
            if (TOps.AnyLess(x, far))
                tail = TOps.SelectLess(x, far, GeluTail<TOps, TVec>(x), tail);
        }
        else
        {
            tail = GeluTail<TOps, TVec>(x);
        }

        return TOps.SelectLess(x, TOps.Broadcast(0f), tail, TOps.Subtract(x, tail));
    }

    /// <summary>x · Φ(−|x|).</summary>
    /// <remarks>
    /// With u = |x|: Φ(−u) = t·p(t)·e^(−u²/2), t = 1/(1 + 0.382 u), p a minimax polynomial of degree 9 fitted on u in 0..13.3 (relative error 1.3e-8 before
    /// rounding). What fused multiply-adds know of the roundings of t and of u²/2 (<c>corrected</c>) goes into the exponential's argument, where it is an
    /// addition; what they know of those of the products, into the last sum. No correction is larger than a few units in the last place.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVec GeluTail<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec zero = TOps.Broadcast(0f), one = TOps.Broadcast(1f), flat = TOps.Broadcast(GeluFlat), slope = TOps.Broadcast(0.382f);
        TVec u = TOps.Min(TOps.Abs(x), flat);
        TVec d = TOps.MultiplyAdd(u, slope, one);
        TVec t = TOps.Divide(one, d), minusT = TOps.Subtract(zero, t);
        TVec p = TOps.Broadcast(0.02589273452758789f);
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(-0.15646806359291077f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.3804004192352295f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(-0.44149574637413025f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.21047472953796387f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(-0.05717738717794418f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.10625249892473221f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.12707678973674774f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.1526576727628708f));
        p = TOps.MultiplyAdd(p, t, TOps.Broadcast(0.1523863524198532f));

        // 1 − t·d with all digits of d: by how much t is wrong. t·p(t) is wrong by 1.3 to 2.1 times as much.
        TVec wrong = TOps.MultiplyAdd(minusT, TOps.MultiplyAdd(u, slope, TOps.Subtract(one, d)), TOps.MultiplyAdd(minusT, d, one));
        TVec half = TOps.Multiply(u, TOps.Broadcast(0.5f)), square = TOps.Multiply(half, u);
        TVec corrected = TOps.MultiplyAdd(wrong, TOps.Broadcast(1.7f), TOps.MultiplyAdd(TOps.Subtract(zero, half), u, square));

        TVec low = TOps.Broadcast(ExpLow), exponent = TOps.Subtract(zero, square), inside = TOps.Max(exponent, low);
        TVec n = WholeTwos<TOps, TVec>(inside);
        TVec r = TOps.MultiplyAdd(n, TOps.Broadcast(-Ln2High), inside);
        TVec m = ExpMinusOne<TOps, TVec>(TOps.Add(r, TOps.MultiplyAdd(n, TOps.Broadcast(-Ln2Low), corrected)));

        // x·Φ(−u) = y·p·(1 + m). An infinite x times 0 would be no number; below zero it is none, as x·Φ(x) says.
        TVec scaled = TOps.Multiply(t, TOps.SelectLess(exponent, low, zero, TOps.PowerOfTwo(n))), bounded = TOps.Min(x, flat);
        TVec y = TOps.Multiply(bounded, scaled), h = TOps.Multiply(y, p);
        TVec lost = TOps.MultiplyAdd(bounded, scaled, TOps.Subtract(zero, y));
        lost = TOps.MultiplyAdd(lost, p, TOps.MultiplyAdd(y, p, TOps.Subtract(zero, h)));
        return TOps.Add(h, TOps.MultiplyAdd(h, m, lost));
    }
}
