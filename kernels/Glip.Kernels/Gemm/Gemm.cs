using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>What follows a product element by element.</summary>
public enum Activation
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>max(x, 0).</summary>
    Relu,

    /// <summary>x · Φ(x), exact (erf form).</summary>
    Gelu,
}

/// <summary>Fully connected layers: dense matrix products with packed weights.</summary>
public static unsafe class Gemm
{
    /// <summary><c>y = clamp(activation(clamp(x·Wᵀ + b + residual)))</c>.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[rows, K], row-major.</param>
    /// <param name="rows">M.</param>
    /// <param name="weight">[N, K] with bias, packed for this instruction set.</param>
    /// <param name="y">[rows, N]. Must not overlap <paramref name="x"/>.</param>
    /// <param name="activation">Applied to each element.</param>
    /// <param name="clamp">Elements are kept within ± this before and after the activation.</param>
    /// <param name="residual">[rows, N] with the stride of y, added to the product, or empty; may be <paramref name="y"/> itself.</param>
    /// <param name="xStride">Floats from one row of x to the next; 0 for K.</param>
    /// <param name="yStride">Floats from one row of y to the next; 0 for N.</param>
    public static void Linear(
        KernelContext context, ReadOnlySpan<float> x, int rows, PackedMatrix weight, Span<float> y,
        Activation activation = Activation.None, float clamp = float.PositiveInfinity, ReadOnlySpan<float> residual = default,
        int xStride = 0, int yStride = 0)
    {
        ArgumentNullException.ThrowIfNull(weight);
        Check.Packed(context, weight, weight.Depth, nameof(weight));
        Linear(context, x, rows, weight.View, weight.RowMajor, y, activation, clamp, residual, xStride, yStride);
        GC.KeepAlive(weight);
    }

    /// <summary>Floats of pack memory that <see cref="LinearUnpacked"/> needs for an N×K right side.</summary>
    public static int PackFloats(KernelContext context, int columns, int depth)
    {
        ArgumentNullException.ThrowIfNull(context);
        return checked(GemmTable.Layout(context.Isa).Padded(columns) * (depth + 1));
    }

    /// <summary><c>y = clamp(x·Wᵀ + b)</c> with a right side that is known only at run time; it is packed into the caller's memory first.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[rows, K].</param>
    /// <param name="rows">M.</param>
    /// <param name="weight">[N, K].</param>
    /// <param name="bias">[N].</param>
    /// <param name="pack"><see cref="PackFloats"/> values, overwritten.</param>
    /// <param name="y">[rows, N].</param>
    /// <param name="clamp">Results are kept within ± this.</param>
    public static void LinearUnpacked(
        KernelContext context, ReadOnlySpan<float> x, int rows, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<float> pack, Span<float> y,
        float clamp = float.PositiveInfinity)
    {
        ArgumentNullException.ThrowIfNull(context);
        int columns = bias.Length, depth = weight.Length / Math.Max(columns, 1);
        Check.That(depth > 0 && depth * columns == weight.Length, $"{nameof(weight)} has {weight.Length} values, which is not {columns} rows", nameof(weight));
        Check.Length(pack, PackFloats(context, columns, depth), nameof(pack));
        fixed (float* pw = weight)
        fixed (float* pb = bias)
        fixed (float* pp = pack)
        {
            PanelLayout layout = GemmTable.Layout(context.Isa);
            int padded = layout.Padded(columns);
            var packed = new PackedView(pp + padded, pp, columns, depth, layout);
            packed.FillBias(context, pb);
            bool few = columns <= FewColumns.Most;
            if (!few)
                Packing.FromRows(context, pw, depth, packed);
            Linear(context, x, rows, packed, few ? pw : null, y, Activation.None, clamp, default, 0, 0);
        }
    }

    private static void Linear(
        KernelContext context, ReadOnlySpan<float> x, int rows, PackedView weight, float* rowMajor, Span<float> y, Activation activation, float clamp,
        ReadOnlySpan<float> residual, int xStride, int yStride)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        xStride = xStride == 0 ? weight.Depth : xStride;
        yStride = yStride == 0 ? weight.Columns : yStride;
        if (rows == 0)
            return;
        Check.That(xStride >= weight.Depth, $"{xStride} is shorter than a row of {weight.Depth}", nameof(xStride));
        Check.That(yStride >= weight.Columns, $"{yStride} is shorter than a row of {weight.Columns}", nameof(yStride));
        Check.Length(x, ((rows - 1L) * xStride) + weight.Depth, nameof(x));
        Check.Length(y, ((rows - 1L) * yStride) + weight.Columns, nameof(y));
        if (!residual.IsEmpty)
            Check.Length(residual, ((rows - 1L) * yStride) + weight.Columns, nameof(residual));
        fixed (float* px = x)
        fixed (float* py = y)
        fixed (float* pr = residual)
        {
            if (rowMajor is not null && pr is null)
            {
                FewColumns.Run(context, px, xStride, rows, rowMajor, weight.Bias, weight.Columns, weight.Depth, py, yStride, activation, clamp);
                return;
            }

            var job = new LinearJob(px, xStride, rows, weight, py, yStride, activation, clamp, pr, context.Workers);
            context.Run(ref job, job.Parts, job.ScratchFloats, (long)rows * weight.Depth * weight.Columns);
        }
    }

    private readonly struct LinearJob : IKernelJob
    {
        // A part should be worth a worker's wake-up even in a small model.
        private const int LeastColumns = 128;
        private const int MostColumns = 256;

        // A few hundred rows, a long text's tokens, are one block: all of the weights, which come from memory, are then read once. In blocks of 96 the last one
        // may be a sliver that reads them for a few rows.
        private const int MostRows = 3 * GemmCore.BlockRows;

        private readonly PackedView _weight;
        private readonly float* _x;
        private readonly float* _y;
        private readonly float* _residual;
        private readonly nint _xStride;
        private readonly nint _yStride;
        private readonly float _clamp;
        private readonly int _rows;
        private readonly int _blockRows;
        private readonly int _columnChunk;
        private readonly Activation _activation;

        public LinearJob(
            float* x, int xStride, int rows, PackedView weight, float* y, int yStride, Activation activation, float clamp, float* residual, int workers)
        {
            _x = x;
            _xStride = xStride;
            _y = y;
            _yStride = yStride;
            _residual = residual;
            _weight = weight;
            _rows = rows;
            _activation = activation;
            _clamp = clamp;
            int width = weight.Layout.Width, panels = (weight.PaddedColumns + width - 1) / width;
            bool columnsFeedWorkers = panels * width >= LeastColumns * workers;
            _blockRows = rows <= MostRows && columnsFeedWorkers ? rows : Math.Min(rows, GemmCore.BlockRows);
            int blocks = (rows + _blockRows - 1) / _blockRows;

            // Few rows cannot feed all workers: cut the columns too.
            bool fewRows = blocks < 2 * workers && workers > 1;
            _columnChunk = fewRows ? Math.Min(weight.PaddedColumns, width * EvenShares.Size(panels, LeastColumns / width, MostColumns / width, workers, blocks)) : weight.PaddedColumns;
            Parts = blocks * Chunks;
            ScratchFloats = GemmCore.PanelFloats(_blockRows);
        }

        public int Parts { get; }

        public long ScratchFloats { get; }

        private int Chunks => (_weight.PaddedColumns + _columnChunk - 1) / _columnChunk;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int chunks = Chunks;
            int row0 = part / chunks * _blockRows, rows = Math.Min(_blockRows, _rows - row0);
            int column0 = part % chunks * _columnChunk, columns = Math.Min(_columnChunk, _weight.PaddedColumns - column0);
            int wanted = Math.Min(columns, _weight.Columns - column0);
            float* y = _y + (row0 * _yStride) + column0;
            PackedView weight = _weight;
            if (_residual is not null)
            {
                // Products add to what y holds: residual and bias go there first.
                float* residual = _residual + (row0 * _yStride) + column0;
                for (int i = 0; i < rows; i++)
                    Rows.Add<TOps, TVec>(residual + (i * _yStride), weight.Bias + column0, y + (i * _yStride), wanted);
                weight = weight.WithoutBias;
            }

            var source = new DenseRows(_x, _xStride);
            GemmCore.Multiply<DenseRows, TOps, TVec, TTile>(ref source, row0, rows, weight, y, _yStride, scratch, column0, columns, rows, wanted);
            if (_activation != Activation.None || !float.IsPositiveInfinity(_clamp))
            {
                for (int i = 0; i < rows; i++)
                    Rows.Activate<TOps, TVec>(y + (i * _yStride), wanted, _activation, _clamp);
            }
        }
    }
}
