using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Elementwise function of one argument, written once for vectors and remainder.</summary>
internal interface IUnary
{
    static abstract TVec Apply<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged;
}

/// <summary>exact GELU.</summary>
internal readonly struct GeluFunction : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Apply<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged => VectorMath.Gelu<TOps, TVec>(x);
}

/// <summary>max(x, 0).</summary>
internal readonly struct ReluFunction : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Apply<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged => TOps.Max(x, TOps.Broadcast(0f));
}

/// <summary>1 / (1 + e^−x).</summary>
internal readonly struct SigmoidFunction : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Apply<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged => VectorMath.Sigmoid<TOps, TVec>(x);
}

/// <summary>clamp(x + 3, 0, 6) / 6.</summary>
internal readonly struct HardSigmoidFunction : IUnary
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVec Apply<TOps, TVec>(TVec x)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged =>
        TOps.Divide(TOps.Min(TOps.Max(TOps.Add(x, TOps.Broadcast(3f)), TOps.Broadcast(0f)), TOps.Broadcast(6f)), TOps.Broadcast(6f));
}

/// <summary>Loops over one row of floats, for use inside jobs. Lengths may be anything.</summary>
internal static unsafe class Rows
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Copy<TOps, TVec>(float* source, float* target, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
            TOps.Store(TOps.Load(source + i), target + i);
        for (; i < count; i++)
            target[i] = source[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Map<TFunction, TOps, TVec>(float* source, float* target, int count)
        where TFunction : struct, IUnary
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
            TOps.Store(TFunction.Apply<TOps, TVec>(TOps.Load(source + i)), target + i);
        for (; i < count; i++)
            target[i] = TFunction.Apply<SimdScalar, float>(source[i]);
    }

    /// <summary>target = a + b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add<TOps, TVec>(float* a, float* b, float* target, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
            TOps.Store(TOps.Add(TOps.Load(a + i), TOps.Load(b + i)), target + i);
        for (; i < count; i++)
            target[i] = a[i] + b[i];
    }

    /// <summary>target = target + a·scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddScaled<TOps, TVec>(float* a, float scale, float* target, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int i = 0;
        TVec factor = TOps.Broadcast(scale);
        for (; i <= count - TOps.Width; i += TOps.Width)
            TOps.Store(TOps.MultiplyAdd(TOps.Load(a + i), factor, TOps.Load(target + i)), target + i);
        for (; i < count; i++)
            target[i] = SimdScalar.MultiplyAdd(a[i], scale, target[i]);
    }

    /// <summary>target = target + a·b per element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddProduct<TOps, TVec>(float* a, float* b, float* target, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
            TOps.Store(TOps.MultiplyAdd(TOps.Load(a + i), TOps.Load(b + i), TOps.Load(target + i)), target + i);
        for (; i < count; i++)
            target[i] = SimdScalar.MultiplyAdd(a[i], b[i], target[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale<TOps, TVec>(float* row, float factor, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int i = 0;
        TVec f = TOps.Broadcast(factor);
        for (; i <= count - TOps.Width; i += TOps.Width)
            TOps.Store(TOps.Multiply(TOps.Load(row + i), f), row + i);
        for (; i < count; i++)
            row[i] *= factor;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Clamp<TOps, TVec>(float* row, int count, float limit)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        if (float.IsPositiveInfinity(limit))
            return;
        int i = 0;
        TVec low = TOps.Broadcast(-limit), high = TOps.Broadcast(limit);
        for (; i <= count - TOps.Width; i += TOps.Width)
            TOps.Store(TOps.Min(TOps.Max(TOps.Load(row + i), low), high), row + i);
        for (; i < count; i++)
            row[i] = SimdScalar.Min(SimdScalar.Max(row[i], -limit), limit);
    }

    public static void Activate<TOps, TVec>(float* row, int count, Activation activation, float clamp)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        Clamp<TOps, TVec>(row, count, clamp);
        if (activation == Activation.Gelu)
            Map<GeluFunction, TOps, TVec>(row, row, count);
        else if (activation == Activation.Relu)
            Map<ReluFunction, TOps, TVec>(row, row, count);
        if (activation != Activation.None)
            Clamp<TOps, TVec>(row, count, clamp);
    }

    /// <summary>Largest element; −∞ for none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max<TOps, TVec>(float* row, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float best = float.NegativeInfinity;
        int i = 0;
        if (count >= TOps.Width)
        {
            TVec max = TOps.Load(row);
            for (i = TOps.Width; i <= count - TOps.Width; i += TOps.Width)
                max = TOps.Max(max, TOps.Load(row + i));
            best = TOps.MaxAcross(max);
        }

        for (; i < count; i++)
            best = SimdScalar.Max(best, row[i]);
        return best;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum<TOps, TVec>(float* row, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec sums = TOps.Broadcast(0f);
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
            sums = TOps.Add(sums, TOps.Load(row + i));
        float sum = TOps.Sum(sums);
        for (; i < count; i++)
            sum += row[i];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Dot<TOps, TVec>(float* a, float* b, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec sums = TOps.Broadcast(0f);
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
            sums = TOps.MultiplyAdd(TOps.Load(a + i), TOps.Load(b + i), sums);
        float sum = TOps.Sum(sums);
        for (; i < count; i++)
            sum += a[i] * b[i];
        return sum;
    }

    /// <summary>row = e^(row − shift); the sum is returned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ExpSum<TOps, TVec>(float* row, int count, float shift)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec sums = TOps.Broadcast(0f), s = TOps.Broadcast(shift);
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
        {
            TVec e = VectorMath.Exp<TOps, TVec>(TOps.Subtract(TOps.Load(row + i), s));
            TOps.Store(e, row + i);
            sums = TOps.Add(sums, e);
        }

        float sum = TOps.Sum(sums);
        for (; i < count; i++)
        {
            row[i] = VectorMath.Exp<SimdScalar, float>(row[i] - shift);
            sum += row[i];
        }

        return sum;
    }

    /// <summary>Softmax of one row in place; its largest element is subtracted first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Softmax<TOps, TVec>(float* row, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float sum = ExpSum<TOps, TVec>(row, count, Max<TOps, TVec>(row, count));
        Scale<TOps, TVec>(row, 1f / sum, count);
    }

    /// <summary>Layer norm of one row: <c>(x − mean)/√(variance + eps) · gamma + beta</c>, biased variance in two passes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LayerNorm<TOps, TVec>(float* source, float* gamma, float* beta, float eps, float* target, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float mean = Sum<TOps, TVec>(source, count) / count;
        TVec m = TOps.Broadcast(mean), squares = TOps.Broadcast(0f);
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
        {
            TVec d = TOps.Subtract(TOps.Load(source + i), m);
            squares = TOps.MultiplyAdd(d, d, squares);
        }

        float variance = TOps.Sum(squares);
        for (; i < count; i++)
            variance += (source[i] - mean) * (source[i] - mean);
        float scale = 1f / MathF.Sqrt((variance / count) + eps);
        TVec s = TOps.Broadcast(scale);
        for (i = 0; i <= count - TOps.Width; i += TOps.Width)
        {
            TVec x = TOps.Multiply(TOps.Subtract(TOps.Load(source + i), m), s);
            TOps.Store(TOps.MultiplyAdd(x, TOps.Load(gamma + i), TOps.Load(beta + i)), target + i);
        }

        for (; i < count; i++)
            target[i] = SimdScalar.MultiplyAdd((source[i] - mean) * scale, gamma[i], beta[i]);
    }
}
