using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>What DyHead does to whole maps with one factor a channel (Dai et al., Dynamic Head, CVPR 2021).</summary>
public static unsafe class ChannelMaps
{
    /// <summary><c>y = a⊙fa + b⊙fb + c⊙fc + shift</c>: the attention-weighted sum of up to three normalised branches.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="a">[rows, C].</param>
    /// <param name="b">[rows, C].</param>
    /// <param name="c">[rows, C], or empty.</param>
    /// <param name="factors">[3, C]: fa, fb, fc.</param>
    /// <param name="shift">[C].</param>
    /// <param name="rows">Cells.</param>
    /// <param name="y">[rows, C]; may be one of the maps.</param>
    /// <param name="moments">Receives the result's channel moments.</param>
    public static void WeightedSum(
        KernelContext context, ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<float> c, ReadOnlySpan<float> factors,
        ReadOnlySpan<float> shift, int rows, Span<float> y, Span<float> moments)
    {
        ArgumentNullException.ThrowIfNull(context);
        int channels = shift.Length;
        long size = (long)rows * channels;
        Check.Length(a, size, nameof(a));
        Check.Length(b, size, nameof(b));
        if (!c.IsEmpty)
            Check.Length(c, size, nameof(c));
        Check.Length(factors, 3L * channels, nameof(factors));
        Check.Length(y, size, nameof(y));
        Check.Length(moments, ChannelMoments.PartialFloats(rows, channels), nameof(moments));
        fixed (float* pa = a)
        fixed (float* pb = b)
        fixed (float* pc = c)
        fixed (float* pf = factors)
        fixed (float* ps = shift)
        fixed (float* py = y)
        fixed (float* pm = moments)
        {
            var job = new SumJob(pa, pb, pc, pf, ps, rows, channels, py, pm);
            context.Run(ref job, ChannelMoments.Blocks(rows));
        }
    }

    /// <summary><c>y = max(x⊙a1 + b1, x⊙a2 + b2)</c>: dynamic ReLU with coefficients of each channel (Chen et al., ECCV 2020).</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[rows, C].</param>
    /// <param name="rows">Cells.</param>
    /// <param name="coefficients">[4, C]: a1, b1, a2, b2.</param>
    /// <param name="y">[rows, C]; may be <paramref name="x"/>.</param>
    public static void DynamicRelu(KernelContext context, ReadOnlySpan<float> x, int rows, ReadOnlySpan<float> coefficients, Span<float> y)
    {
        ArgumentNullException.ThrowIfNull(context);
        int channels = coefficients.Length / 4;
        Check.That(channels * 4 == coefficients.Length, $"{coefficients.Length} values are not four for each channel", nameof(coefficients));
        Check.Length(x, (long)rows * channels, nameof(x));
        Check.Length(y, (long)rows * channels, nameof(y));
        fixed (float* px = x)
        fixed (float* pc = coefficients)
        fixed (float* py = y)
        {
            var job = new ReluJob(px, rows, channels, pc, py);
            context.Run(ref job, ChannelMoments.Blocks(rows));
        }
    }

    private readonly struct SumJob(
        float* a, float* b, float* c, float* factors, float* shift, int rows, int channels, float* y, float* moments) : IKernelJob
    {
        private readonly float* _a = a;
        private readonly float* _b = b;
        private readonly float* _c = c;
        private readonly float* _factors = factors;
        private readonly float* _shift = shift;
        private readonly float* _y = y;
        private readonly float* _moments = moments;
        private readonly int _rows = rows;
        private readonly int _channels = channels;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int blockRows = ChannelMoments.BlockRows(_rows), first = part * blockRows, end = Math.Min(first + blockRows, _rows);
            for (int row = first; row < end; row++)
            {
                nint at = (nint)row * _channels;
                int i = 0;
                for (; i <= _channels - TOps.Width; i += TOps.Width)
                    Sum<TOps, TVec>(at, i);
                for (; i < _channels; i++)
                    Sum<SimdScalar, float>(at, i);
            }

            ChannelMoments.Block<TOps, TVec>(_y + ((nint)first * _channels), _channels, end - first, _channels, _moments + ((nint)part * 2 * _channels));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Sum<TOps, TVec>(nint row, int i)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            TVec sum = TOps.MultiplyAdd(TOps.Load(_a + row + i), TOps.Load(_factors + i), TOps.Load(_shift + i));
            sum = TOps.MultiplyAdd(TOps.Load(_b + row + i), TOps.Load(_factors + _channels + i), sum);
            if (_c is not null)
                sum = TOps.MultiplyAdd(TOps.Load(_c + row + i), TOps.Load(_factors + (2 * _channels) + i), sum);
            TOps.Store(sum, _y + row + i);
        }
    }

    private readonly struct ReluJob(float* x, int rows, int channels, float* coefficients, float* y) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _coefficients = coefficients;
        private readonly float* _y = y;
        private readonly int _rows = rows;
        private readonly int _channels = channels;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int blockRows = ChannelMoments.BlockRows(_rows), first = part * blockRows, end = Math.Min(first + blockRows, _rows);
            for (int row = first; row < end; row++)
            {
                nint at = (nint)row * _channels;
                int i = 0;
                for (; i <= _channels - TOps.Width; i += TOps.Width)
                    Apply<TOps, TVec>(at, i);
                for (; i < _channels; i++)
                    Apply<SimdScalar, float>(at, i);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Apply<TOps, TVec>(nint row, int i)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            TVec x = TOps.Load(_x + row + i);
            float* k = _coefficients + i;
            TVec first = TOps.MultiplyAdd(x, TOps.Load(k), TOps.Load(k + _channels));
            TVec second = TOps.MultiplyAdd(x, TOps.Load(k + (2 * _channels)), TOps.Load(k + (3 * _channels)));
            TOps.Store(TOps.Max(first, second), _y + row + i);
        }
    }
}
