using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>The feed-forward half of a Swin block, block by block of rows, so that the wide hidden layer never leaves the cache.</summary>
public static unsafe class FeedForward
{
    /// <summary><c>x += fc2(GELU(fc1(LN(x))))</c>, in place.</summary>
    /// <param name="context">Instruction set and workers; blocks of rows are shared out.</param>
    /// <param name="x">[rows, C].</param>
    /// <param name="rows">Cells.</param>
    /// <param name="gamma">[C], layer norm.</param>
    /// <param name="beta">[C], layer norm.</param>
    /// <param name="eps">Layer norm's.</param>
    /// <param name="expand">fc1: [F, C] with bias.</param>
    /// <param name="reduce">fc2: [C, F] with bias.</param>
    public static void Forward(
        KernelContext context, Span<float> x, int rows, ReadOnlySpan<float> gamma, ReadOnlySpan<float> beta, float eps, PackedMatrix expand, PackedMatrix reduce)
    {
        ArgumentNullException.ThrowIfNull(expand);
        ArgumentNullException.ThrowIfNull(reduce);
        int channels = gamma.Length;
        Check.Packed(context, expand, channels, nameof(expand));
        Check.Packed(context, reduce, expand.Columns, nameof(reduce));
        Check.That(reduce.Columns == channels, $"{nameof(reduce)} has {reduce.Columns} columns, the map {channels} channels", nameof(reduce));
        Check.Length(x, (long)rows * channels, nameof(x));
        Check.Length(beta, channels, nameof(beta));
        fixed (float* px = x)
        fixed (float* pg = gamma)
        fixed (float* pb = beta)
        {
            var job = new Job(px, rows, pg, pb, eps, expand.View, reduce.View);
            context.Run(ref job, (rows + GemmCore.BlockRows - 1) / GemmCore.BlockRows, job.ScratchFloats, 2L * rows * channels * expand.Columns);
        }

        GC.KeepAlive(expand);
        GC.KeepAlive(reduce);
    }

    private readonly struct Job(float* x, int rows, float* gamma, float* beta, float eps, PackedView expand, PackedView reduce) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _gamma = gamma;
        private readonly float* _beta = beta;
        private readonly PackedView _expand = expand;
        private readonly PackedView _reduce = reduce;
        private readonly int _rows = rows;
        private readonly float _eps = eps;

        public long ScratchFloats =>
            GemmCore.PanelFloats(GemmCore.BlockRows) + (GemmCore.BlockRows * ((long)_expand.PaddedColumns + Math.Max(_reduce.PaddedColumns, _expand.Depth)));

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int channels = _expand.Depth, row0 = part * GemmCore.BlockRows, rows = Math.Min(GemmCore.BlockRows, _rows - row0);
            float* hidden = scratch + GemmCore.PanelFloats(GemmCore.BlockRows);
            float* outer = hidden + ((nint)GemmCore.BlockRows * _expand.PaddedColumns);
            float* x = _x + ((nint)row0 * channels);
            for (int i = 0; i < rows; i++)
                Rows.LayerNorm<TOps, TVec>(x + (i * channels), _gamma, _beta, _eps, outer + (i * channels), channels);

            var normed = new DenseRows(outer, channels);
            GemmCore.Multiply<DenseRows, TOps, TVec, TTile>(ref normed, 0, rows, _expand, hidden, _expand.PaddedColumns, scratch);

            var activated = new ActivatedRows(hidden, _expand.PaddedColumns);
            GemmCore.Multiply<ActivatedRows, TOps, TVec, TTile>(ref activated, 0, rows, _reduce, outer, _reduce.PaddedColumns, scratch);
            for (int i = 0; i < rows; i++)
                Rows.Add<TOps, TVec>(outer + (i * _reduce.PaddedColumns), x + (i * channels), x + (i * channels), channels);
        }
    }

    /// <summary>GELU of rows in memory.</summary>
    private readonly struct ActivatedRows(float* rows, nint stride) : IRowSource
    {
        private readonly float* _rows = rows;
        private readonly nint _stride = stride;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Fill<TOps, TVec>(int row0, int rows, int k0, int depth, float* panel)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            float* source = _rows + (row0 * _stride) + k0;
            for (int i = 0; i < rows; i++)
                Rows.Map<GeluFunction, TOps, TVec>(source + (i * _stride), panel + (i * GemmCore.RowStride), depth);
        }
    }
}
