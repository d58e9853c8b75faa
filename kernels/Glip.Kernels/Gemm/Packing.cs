using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>The loops that fill the panels of right sides.</summary>
internal static unsafe class Packing
{
    /// <summary>From [N, K] with rows <paramref name="stride"/> floats apart; panels are shared out over the workers.</summary>
    public static void FromRows(KernelContext context, float* source, nint stride, PackedView target) => Run(context, source, stride, target, transposed: true);

    /// <summary>From [K, N] with rows <paramref name="stride"/> floats apart.</summary>
    public static void FromColumns(KernelContext context, float* source, nint stride, PackedView target) => Run(context, source, stride, target, transposed: false);

    /// <summary>Half-size numbers as they are: column n of row k is <paramref name="columnStride"/>·n + <paramref name="depthStride"/>·k numbers from the start.</summary>
    public static void Halves(KernelContext context, ushort* source, nint columnStride, nint depthStride, PackedView target)
    {
        var job = new HalvesJob(source, columnStride, depthStride, target);
        context.Run(ref job, (target.Columns + target.Layout.Width - 1) / target.Layout.Width);
    }

    /// <summary>From [N, K], on the calling worker.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FromRows<TOps, TVec>(float* source, nint stride, PackedView target)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        for (int first = 0; first < target.Columns; first += target.Layout.Width)
            RowsPanel<TOps, TVec>(source, stride, target, first);
    }

    /// <summary>From [K, N], on the calling worker.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FromColumns<TOps, TVec>(float* source, nint stride, PackedView target)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        for (int first = 0; first < target.Columns; first += target.Layout.Width)
            ColumnsPanel<TOps, TVec>(source, stride, target, first);
    }

    private static void Run(KernelContext context, float* source, nint stride, PackedView target, bool transposed)
    {
        var job = new Job(source, stride, target, transposed);
        context.Run(ref job, (target.Columns + target.Layout.Width - 1) / target.Layout.Width);
    }

    private static void RowsPanel<TOps, TVec>(float* source, nint stride, PackedView target, int first)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int width = target.WidthAt(first), wide = Math.Min(width, target.Columns - first);
        float* panel = target.Panels + ((nint)first * target.Depth);
        Transposition.Run<TOps, TVec>(source + (first * stride), stride, wide, target.Depth, panel, width);
        for (int k = 0; wide < width && k < target.Depth; k++)
            new Span<float>(panel + ((nint)k * width) + wide, width - wide).Clear();
    }

    private static void ColumnsPanel<TOps, TVec>(float* source, nint stride, PackedView target, int first)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int width = target.WidthAt(first), wide = Math.Min(width, target.Columns - first);
        float* panel = target.Panels + ((nint)first * target.Depth);
        for (int k = 0; k < target.Depth; k++, panel += width)
        {
            Rows.Copy<TOps, TVec>(source + (k * stride) + first, panel, wide);
            for (int j = wide; j < width; j++)
                panel[j] = 0;
        }
    }

    private readonly struct Job(float* source, nint stride, PackedView target, bool transposed) : IKernelJob
    {
        private readonly float* _source = source;
        private readonly PackedView _target = target;
        private readonly nint _stride = stride;
        private readonly bool _transposed = transposed;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int first = part * _target.Layout.Width;
            if (_transposed)
                RowsPanel<TOps, TVec>(_source, _stride, _target, first);
            else
                ColumnsPanel<TOps, TVec>(_source, _stride, _target, first);
        }
    }

    private readonly struct HalvesJob(ushort* source, nint columnStride, nint depthStride, PackedView target) : IKernelJob
    {
        // Lines of the source stay in the first-level cache from one column to the next.
        private const int DepthBlock = 64;

        private readonly ushort* _source = source;
        private readonly PackedView _target = target;
        private readonly nint _columnStride = columnStride;
        private readonly nint _depthStride = depthStride;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int first = part * _target.Layout.Width, width = _target.WidthAt(first), depth = _target.Depth;
            int wide = Math.Min(width, _target.Columns - first);
            ushort* panel = (ushort*)_target.Panels + ((nint)first * depth);
            if (wide < width)
                new Span<ushort>(panel, width * depth).Clear();
            for (int k0 = 0; k0 < depth; k0 += DepthBlock)
            {
                int end = Math.Min(depth, k0 + DepthBlock);
                for (int j = 0; j < wide; j++)
                {
                    ushort* column = _source + ((first + j) * _columnStride);
                    for (int k = k0; k < end; k++)
                        panel[((nint)k * width) + j] = column[k * _depthStride];
                }
            }
        }
    }
}
