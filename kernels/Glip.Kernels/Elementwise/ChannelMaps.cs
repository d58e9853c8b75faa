using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>What DyHead does to whole maps with a few factors a channel (Dai et al., Dynamic Head, CVPR 2021).</summary>
public static unsafe class ChannelMaps
{
    // Cells of a part.
    private const int BlockRows = 48;

    /// <summary>
    /// <c>y = max(s⊙a1 + b1, s⊙a2 + b2)</c> with <c>s = own⊙f0 + finer⊙f1 + enlarged(coarser)⊙f2 + shift</c>: the attention-weighted sum of a level's normalised branches, and the
    /// dynamic ReLU behind it (Chen et al., ECCV 2020). The coarser level's map is enlarged with aligned corners while it is added, so that no enlarged map exists.
    /// </summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="own">[H, W, C].</param>
    /// <param name="finer">[H, W, C], or empty.</param>
    /// <param name="coarser">[H', W', C], or empty.</param>
    /// <param name="coarserHeight">H'.</param>
    /// <param name="coarserWidth">W'.</param>
    /// <param name="factors">[3, C]: f0, f1, f2. Those of empty maps do not count.</param>
    /// <param name="shift">[C].</param>
    /// <param name="lines">[4, C]: a1, b1, a2, b2.</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="y">[H, W, C]; may be <paramref name="own"/> or <paramref name="finer"/>.</param>
    public static void ActivatedSum(
        KernelContext context, ReadOnlySpan<float> own, ReadOnlySpan<float> finer, ReadOnlySpan<float> coarser, int coarserHeight, int coarserWidth,
        ReadOnlySpan<float> factors, ReadOnlySpan<float> shift, ReadOnlySpan<float> lines, int height, int width, Span<float> y)
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
        Check.Length(lines, 4L * channels, nameof(lines));
        Check.Length(y, size, nameof(y));
        fixed (float* po = own)
        fixed (float* pf = finer)
        fixed (float* pc = coarser)
        fixed (float* pw = factors)
        fixed (float* ps = shift)
        fixed (float* pl = lines)
        fixed (float* py = y)
        {
            var samples = new AlignedSamples(pc, coarserHeight, coarserWidth, channels, height, width);
            var job = new Job(po, pf, samples, pc is not null, pw, ps, pl, rows, channels, py);
            context.Run(ref job, (rows + BlockRows - 1) / BlockRows, channels);
        }
    }

    private readonly struct Job(
        float* own, float* finer, AlignedSamples coarser, bool hasCoarser, float* factors, float* shift, float* lines, int rows, int channels, float* y) : IKernelJob
    {
        private readonly float* _own = own;
        private readonly float* _finer = finer;
        private readonly AlignedSamples _coarser = coarser;
        private readonly float* _factors = factors;
        private readonly float* _shift = shift;
        private readonly float* _lines = lines;
        private readonly float* _y = y;
        private readonly int _channels = channels;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int first = part * BlockRows, end = Math.Min(first + BlockRows, rows);
            for (int row = first; row < end; row++)
            {
                if (hasCoarser)
                    _coarser.Cell<TOps, TVec>(row, scratch);
                nint at = (nint)row * _channels;
                int i = 0;
                for (; i <= _channels - TOps.Width; i += TOps.Width)
                    Sum<TOps, TVec>(at, i, scratch);
                for (; i < _channels; i++)
                    Sum<SimdScalar, float>(at, i, scratch);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Sum<TOps, TVec>(nint row, int i, float* enlarged)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            TVec sum = TOps.MultiplyAdd(TOps.Load(_own + row + i), TOps.Load(_factors + i), TOps.Load(_shift + i));
            if (_finer is not null)
                sum = TOps.MultiplyAdd(TOps.Load(_finer + row + i), TOps.Load(_factors + _channels + i), sum);
            if (hasCoarser)
                sum = TOps.MultiplyAdd(TOps.Load(enlarged + i), TOps.Load(_factors + (2 * _channels) + i), sum);
            float* line = _lines + i;
            TVec first = TOps.MultiplyAdd(sum, TOps.Load(line), TOps.Load(line + _channels));
            TVec second = TOps.MultiplyAdd(sum, TOps.Load(line + (2 * _channels)), TOps.Load(line + (3 * _channels)));
            TOps.Store(TOps.Max(first, second), _y + row + i);
        }
    }
}
