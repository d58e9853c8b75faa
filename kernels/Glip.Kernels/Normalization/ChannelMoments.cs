using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// Mean and squared deviations of each channel of a map, first by blocks of rows (each exact on its own, in two passes), then merged in
/// double precision in a fixed order (Chan et al., 1979). Independent of the number of workers.
/// </summary>
public static unsafe class ChannelMoments
{
    // A multiple of the 6 and 12 rows of tiles.
    private const int SmallBlockRows = 36;

    /// <summary>Floats that the partial results of a [rows, channels] map take: per block of rows, a mean and a sum of squared deviations a channel.</summary>
    public static int PartialFloats(int rows, int channels) => checked(Blocks(rows) * 2 * channels);

    /// <summary>Computes the partial results of a map.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[rows, channels].</param>
    /// <param name="rows">Cells of the map.</param>
    /// <param name="channels">Values of a cell.</param>
    /// <param name="partials"><see cref="PartialFloats"/> values.</param>
    public static void Compute(KernelContext context, ReadOnlySpan<float> x, int rows, int channels, Span<float> partials)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.Length(x, (long)rows * channels, nameof(x));
        Check.Length(partials, PartialFloats(rows, channels), nameof(partials));
        fixed (float* px = x)
        fixed (float* pp = partials)
        {
            var job = new MomentsJob(px, rows, channels, pp);
            context.Run(ref job, Blocks(rows));
        }
    }

    /// <summary>Merges partial results: each channel's mean, and its sum of squared deviations from that mean.</summary>
    internal static void Merge(ReadOnlySpan<float> partials, int rows, Span<double> means, Span<double> squares)
    {
        int channels = means.Length, blockRows = BlockRows(rows);
        means.Clear();
        squares.Clear();
        for (int count = 0; count < rows; count += blockRows)
        {
            // Block by block, not channel by channel: memory is read in its order.
            int more = Math.Min(blockRows, rows - count);
            double share = (double)more / (count + more), weight = count * share;
            ReadOnlySpan<float> mean = partials[..channels], deviations = partials.Slice(channels, channels);
            for (int c = 0; c < channels; c++)
            {
                double difference = mean[c] - means[c];
                means[c] += difference * share;
                squares[c] += deviations[c] + (difference * difference * weight);
            }

            partials = partials[(2 * channels)..];
        }
    }

    /// <summary>
    /// Rows of a block, a matter of the map alone. Kernels that compute a map together with its moments work in whole blocks, so that small maps have small ones:
    /// all workers shall find some.
    /// </summary>
    internal static int BlockRows(int rows) => rows < 8 * GemmCore.BlockRows ? SmallBlockRows : GemmCore.BlockRows;

    /// <summary>Blocks of a map.</summary>
    internal static int Blocks(int rows) => (rows + BlockRows(rows) - 1) / BlockRows(rows);

    /// <summary>One block's results: <paramref name="channels"/> means, then as many sums of squared deviations.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Block<TOps, TVec>(float* x, nint stride, int rows, int channels, float* result)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int c = 0;
        for (; c <= channels - TOps.Width; c += TOps.Width)
            Column<TOps, TVec>(x + c, stride, rows, result + c, result + channels + c);
        for (; c < channels; c++)
            Column<SimdScalar, float>(x + c, stride, rows, result + c, result + channels + c);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Column<TOps, TVec>(float* x, nint stride, int rows, float* mean, float* squares)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        TVec sum = TOps.Broadcast(0f);
        for (int i = 0; i < rows; i++)
            sum = TOps.Add(sum, TOps.Load(x + (i * stride)));
        TVec m = TOps.Divide(sum, TOps.Broadcast(rows));
        TVec s = TOps.Broadcast(0f);
        for (int i = 0; i < rows; i++)
        {
            TVec d = TOps.Subtract(TOps.Load(x + (i * stride)), m);
            s = TOps.MultiplyAdd(d, d, s);
        }

        TOps.Store(m, mean);
        TOps.Store(s, squares);
    }

    private readonly struct MomentsJob(float* x, int rows, int channels, float* partials) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _partials = partials;
        private readonly int _rows = rows;
        private readonly int _channels = channels;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int blockRows = BlockRows(_rows), row0 = part * blockRows;
            Block<TOps, TVec>(
                _x + ((nint)row0 * _channels), _channels, Math.Min(blockRows, _rows - row0), _channels, _partials + ((nint)part * 2 * _channels));
        }
    }
}
