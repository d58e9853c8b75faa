using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>What DyHead does to whole maps with one factor a channel (Dai et al., Dynamic Head, CVPR 2021).</summary>
public static unsafe class ChannelMaps
{
    /// <summary>
    /// <c>y = own⊙f0 + finer⊙f1 + enlarged(coarser)⊙f2 + shift</c>: the attention-weighted sum of a level's normalised branches. The coarser level's map is enlarged with
    /// aligned corners while it is added, so that no enlarged map exists.
    /// </summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="own">[H, W, C].</param>
    /// <param name="finer">[H, W, C], or empty.</param>
    /// <param name="coarser">[H', W', C], or empty.</param>
    /// <param name="coarserHeight">H'.</param>
    /// <param name="coarserWidth">W'.</param>
    /// <param name="factors">[3, C]: f0, f1, f2. Those of empty maps do not count.</param>
    /// <param name="shift">[C].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="y">[H, W, C]; may be <paramref name="own"/> or <paramref name="finer"/>.</param>
    /// <param name="moments">Receives the result's channel moments.</param>
    public static void WeightedSum(
        KernelContext context, ReadOnlySpan<float> own, ReadOnlySpan<float> finer, ReadOnlySpan<float> coarser, int coarserHeight, int coarserWidth,
        ReadOnlySpan<float> factors, ReadOnlySpan<float> shift, int height, int width, Span<float> y, Span<float> moments)
    {
        ArgumentNullException.ThrowIfNull(context);
        int channels = shift.Length, rows = height * width;
        long size = (long)rows * channels;
        Check.Length(own, size, nameof(own));
        if (!finer.IsEmpty)
            Check.Length(finer, size, nameof(finer));
        if (!coarser.IsEmpty)
            Check.Length(coarser, (long)coarserHeight * coarserWidth * channels, nameof(coarser));
        Check.Length(factors, 3L * channels, nameof(factors));
        Check.Length(y, size, nameof(y));
        Check.Length(moments, ChannelMoments.PartialFloats(rows, channels), nameof(moments));
        fixed (float* po = own)
        fixed (float* pf = finer)
        fixed (float* pc = coarser)
        fixed (float* pw = factors)
        fixed (float* ps = shift)
        fixed (float* py = y)
        fixed (float* pm = moments)
        {
            var samples = new AlignedSamples(pc, coarserHeight, coarserWidth, channels, height, width);
            var job = new SumJob(po, pf, samples, pc is not null, pw, ps, rows, channels, py, pm);
            context.Run(ref job, ChannelMoments.Blocks(rows), channels);
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
        float* own, float* finer, AlignedSamples coarser, bool hasCoarser, float* factors, float* shift, int rows, int channels, float* y, float* moments) : IKernelJob
    {
        private readonly float* _own = own;
        private readonly float* _finer = finer;
        private readonly AlignedSamples _coarser = coarser;
        private readonly float* _factors = factors;
        private readonly float* _shift = shift;
        private readonly float* _y = y;
        private readonly float* _moments = moments;
        private readonly int _rows = rows;
        private readonly int _channels = channels;
        private readonly bool _hasCoarser = hasCoarser;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int blockRows = ChannelMoments.BlockRows(_rows), first = part * blockRows, end = Math.Min(first + blockRows, _rows);
            for (int row = first; row < end; row++)
            {
                if (_hasCoarser)
                    _coarser.Cell<TOps, TVec>(row, scratch);
                nint at = (nint)row * _channels;
                int i = 0;
                for (; i <= _channels - TOps.Width; i += TOps.Width)
                    Sum<TOps, TVec>(at, i, scratch);
                for (; i < _channels; i++)
                    Sum<SimdScalar, float>(at, i, scratch);
            }

            ChannelMoments.Block<TOps, TVec>(_y + ((nint)first * _channels), _channels, end - first, _channels, _moments + ((nint)part * 2 * _channels));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Sum<TOps, TVec>(nint row, int i, float* enlarged)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            TVec sum = TOps.MultiplyAdd(TOps.Load(_own + row + i), TOps.Load(_factors + i), TOps.Load(_shift + i));
            if (_finer is not null)
                sum = TOps.MultiplyAdd(TOps.Load(_finer + row + i), TOps.Load(_factors + _channels + i), sum);
            if (_hasCoarser)
                sum = TOps.MultiplyAdd(TOps.Load(enlarged + i), TOps.Load(_factors + (2 * _channels) + i), sum);
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
