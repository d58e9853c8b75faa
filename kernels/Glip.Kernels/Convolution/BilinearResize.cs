using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Bilinear resize with aligned corners (torch's <c>upsample_bilinear</c>, as DyConv uses it). <see cref="ChannelMaps.ActivatedSum"/> enlarges while it adds.</summary>
public static unsafe class BilinearResize
{
    // Channels of a part.
    private const int BlockChannels = 64;

    /// <summary>
    /// Each channel's mean over the enlarged map, from the small one: a cell counts as much as it weighs in all cells that are interpolated from it. Output cell i reads position
    /// <c>i·(in − 1)/(out − 1)</c>; a source of one cell repeats.
    /// </summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[H, W, C].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="channels">C.</param>
    /// <param name="outputHeight">Rows of the enlarged map.</param>
    /// <param name="outputWidth">Columns of the enlarged map.</param>
    /// <param name="means">[C], result.</param>
    public static void Means(
        KernelContext context, ReadOnlySpan<float> x, int height, int width, int channels, int outputHeight, int outputWidth, Span<float> means)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.That(height > 0 && width > 0, $"a map of {height} × {width} cells has nothing to resize", nameof(x));
        Check.That(outputHeight > 0 && outputWidth > 0, $"a map of {outputHeight} × {outputWidth} cells has no means", nameof(means));
        Check.Length(x, (long)height * width * channels, nameof(x));
        Check.Length(means, channels, nameof(means));
        fixed (float* px = x)
        fixed (float* pm = means)
        {
            var job = new MeansJob(px, channels, new AlignedAxis(height, outputHeight), new AlignedAxis(width, outputWidth), pm);
            context.Run(ref job, (channels + BlockChannels - 1) / BlockChannels, MeansJob.ScratchFloats(height, width));
        }
    }

    private readonly struct MeansJob(float* x, int channels, AlignedAxis rows, AlignedAxis columns, float* means) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _means = means;

        public static long ScratchFloats(int height, int width) => (2L * BlockChannels) + height + width;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int first = part * BlockChannels, count = Math.Min(BlockChannels, channels - first);
            float* total = scratch, row = total + BlockChannels, down = row + BlockChannels, across = down + rows.Length, cell = _x + first;
            rows.Weights(down);
            columns.Weights(across);
            new Span<float>(total, count).Clear();
            for (int i = 0; i < rows.Length; i++)
            {
                new Span<float>(row, count).Clear();
                for (int j = 0; j < columns.Length; j++, cell += channels)
                    Rows.AddScaled<TOps, TVec>(cell, across[j], row, count);
                Rows.AddScaled<TOps, TVec>(row, down[i], total, count);
            }

            float cells = (float)rows.Outputs * columns.Outputs;
            for (int i = 0; i < count; i++)
                _means[first + i] = total[i] / cells;
        }
    }
}

/// <summary>One axis of a map that is enlarged with aligned corners.</summary>
internal readonly unsafe struct AlignedAxis(int length, int outputs)
{
    private readonly float _scale = outputs > 1 ? (float)(length - 1) / (outputs - 1) : 0;

    /// <summary>Cells of the small map.</summary>
    public int Length => length;

    /// <summary>Cells of the enlarged one.</summary>
    public int Outputs => outputs;

    /// <summary>Between which cells output <paramref name="i"/> lies, and how much the second of them weighs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public (int Low, int High, float Weight) At(int i)
    {
        float position = i * _scale;
        int low = (int)position;
        return (low, Math.Min(low + 1, length - 1), position - low);
    }

    /// <summary>What each cell weighs in all outputs together.</summary>
    public void Weights(float* weights)
    {
        new Span<float>(weights, length).Clear();
        for (int i = 0; i < outputs; i++)
        {
            (int low, int high, float weight) = At(i);
            weights[low] += 1 - weight;
            weights[high] += weight;
        }
    }
}

/// <summary>The cells of a map that is enlarged with aligned corners, one at a time.</summary>
internal readonly unsafe struct AlignedSamples(float* x, int height, int width, int channels, int outputHeight, int outputWidth)
{
    private readonly float* _x = x;
    private readonly AlignedAxis _rows = new(height, outputHeight);
    private readonly AlignedAxis _columns = new(width, outputWidth);

    /// <summary>Writes the channels of output cell <paramref name="cell"/>, counted row by row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Cell<TOps, TVec>(int cell, float* target)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        (int y0, int y1, float wy) = _rows.At(cell / _columns.Outputs);
        (int x0, int x1, float wx) = _columns.At(cell % _columns.Outputs);
        nint upper = (nint)y0 * _columns.Length, lower = (nint)y1 * _columns.Length;
        float* a = _x + ((upper + x0) * channels), b = _x + ((upper + x1) * channels);
        float* c = _x + ((lower + x0) * channels), d = _x + ((lower + x1) * channels);
        int i = 0;
        for (; i <= channels - TOps.Width; i += TOps.Width)
            Blend<TOps, TVec>(a + i, b + i, c + i, d + i, wy, wx, target + i);
        for (; i < channels; i++)
            Blend<SimdScalar, float>(a + i, b + i, c + i, d + i, wy, wx, target + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Blend<TOps, TVec>(float* a, float* b, float* c, float* d, float wy, float wx, float* target)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec right = TOps.Broadcast(wx), left = TOps.Broadcast(1 - wx);
        TVec top = TOps.MultiplyAdd(TOps.Load(b), right, TOps.Multiply(TOps.Load(a), left));
        TVec bottom = TOps.MultiplyAdd(TOps.Load(d), right, TOps.Multiply(TOps.Load(c), left));
        TOps.Store(TOps.MultiplyAdd(bottom, TOps.Broadcast(wy), TOps.Multiply(top, TOps.Broadcast(1 - wy))), target);
    }
}
