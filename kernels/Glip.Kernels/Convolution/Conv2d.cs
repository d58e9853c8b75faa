using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Size, stride and padding of a square convolution window.</summary>
/// <param name="Kernel">Side in cells.</param>
/// <param name="Stride">Cells between outputs.</param>
/// <param name="Padding">Zero cells around the input.</param>
public readonly record struct ConvWindow(int Kernel, int Stride, int Padding)
{
    /// <summary>Output length of an input of <paramref name="length"/> cells; 0 if the window does not fit.</summary>
    public int Output(int length)
    {
        int room = length + (2 * Padding) - Kernel;
        return room < 0 ? 0 : (room / Stride) + 1;
    }
}

/// <summary>Dense 2-D convolution by implicit GEMM: windows are read straight into the GEMM's A panels, no column buffer exists.</summary>
public static unsafe class Conv2d
{
    /// <summary>Reorders [O, C, kh, kw], as checkpoints store weights, into [O, kh, kw, C], the order in which NHWC windows are read.</summary>
    /// <typeparam name="T">A number, of any size.</typeparam>
    /// <param name="weight">[O, C, k·k].</param>
    /// <param name="outputs">O.</param>
    /// <param name="channels">C.</param>
    /// <param name="cells">k·k.</param>
    /// <returns>[O, k·k, C], ready for <see cref="PackedMatrix.FromRows"/> with depth k·k·C.</returns>
    public static T[] ToChannelsLast<T>(ReadOnlySpan<T> weight, int outputs, int channels, int cells)
        where T : unmanaged
    {
        long needed = (long)outputs * channels * cells;
        Check.That(needed >= 0 && weight.Length >= needed, $"{nameof(weight)} needs {needed} elements, has {weight.Length}", nameof(weight));
        var result = new T[outputs * channels * cells];
        for (int o = 0; o < outputs; o++)
        {
            for (int c = 0; c < channels; c++)
            {
                for (int cell = 0; cell < cells; cell++)
                    result[(((o * cells) + cell) * channels) + c] = weight[(((o * channels) + c) * cells) + cell];
            }
        }

        return result;
    }

    /// <summary>y = conv(x) + b.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[H, W, C].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="channels">C.</param>
    /// <param name="window">Kernel, stride, padding.</param>
    /// <param name="weight">[O, k·k·C] (see <see cref="ToChannelsLast"/>), packed.</param>
    /// <param name="y">[H', W', O], or [O, H', W'] if <paramref name="planar"/>.</param>
    /// <param name="relu">True to clamp the <em>input</em> at zero while it is read (FPN's way to P7).</param>
    /// <param name="planar">True to write channel planes.</param>
    public static void Forward(
        KernelContext context, ReadOnlySpan<float> x, int height, int width, int channels, ConvWindow window, PackedMatrix weight, Span<float> y,
        bool relu = false, bool planar = false)
    {
        Check.That(window is { Kernel: > 0, Stride: > 0, Padding: >= 0 }, $"{window} is not a window", nameof(window));
        Check.Packed(context, weight, window.Kernel * window.Kernel * channels, nameof(weight));
        Check.Length(x, (long)height * width * channels, nameof(x));
        int outputs = window.Output(height) * window.Output(width);
        Check.Length(y, (long)outputs * weight.Columns, nameof(y));
        fixed (float* px = x)
        fixed (float* py = y)
        {
            var source = new WindowRows(px, height, width, channels, window, relu);
            ConvJob<WindowRows>.Run(context, source, outputs, weight, py, planar, null);
        }
    }
}

/// <summary>Rows of an implicit column matrix: output cell (y, x)'s window, cell by cell, zeros outside.</summary>
internal readonly unsafe struct WindowRows(float* x, int height, int width, int channels, ConvWindow window, bool relu) : IRowSource
{
    private readonly float* _x = x;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<TOps, TVec>(int row0, int rows, int k0, int depth, float* panel)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int outputWidth = window.Output(width), line = window.Kernel * channels;
        for (int i = 0; i < rows; i++, panel += GemmCore.RowStride)
        {
            int top = ((row0 + i) / outputWidth * window.Stride) - window.Padding;
            int left = ((row0 + i) % outputWidth * window.Stride) - window.Padding;

            // Within one row of the window, k runs over contiguous memory: cells left to right, channels inside.
            for (int k = k0; k < k0 + depth;)
            {
                int ky = k / line, at = k % line, run = Math.Min(line - at, k0 + depth - k);
                float* target = panel + (k - k0);
                k += run;
                int y = top + ky;
                if ((uint)y >= (uint)height)
                {
                    new Span<float>(target, run).Clear();
                    continue;
                }

                // The run starts at this float of the map row; what lies outside [0, width·channels) is padding.
                int begin = (left * channels) + at;
                int inside = Math.Clamp(-begin, 0, run), outside = Math.Clamp((width * channels) - begin, inside, run);
                new Span<float>(target, inside).Clear();
                new Span<float>(target + outside, run - outside).Clear();
                float* source = _x + ((nint)y * width * channels) + begin + inside;
                if (relu)
                    Rows.Map<ReluFunction, TOps, TVec>(source, target + inside, outside - inside);
                else
                    Rows.Copy<TOps, TVec>(source, target + inside, outside - inside);
            }
        }
    }
}

/// <summary>The loop that dense and deformable convolutions share: blocks of output cells, products, then the store in the wanted layout.</summary>
internal unsafe struct ConvJob<TSource> : IKernelJob
    where TSource : unmanaged, IRowSource
{
    private TSource _source;
    private PackedView _weight;
    private float* _y;
    private float* _moments;
    private int _rows;
    private int _blockRows;
    private bool _planar;

    private readonly int Parts => (_rows + _blockRows - 1) / _blockRows;

    /// <summary>Computes all rows. <paramref name="moments"/>, if not null, receives each block's <see cref="ChannelMoments"/>.</summary>
    public static void Run(KernelContext context, TSource source, int rows, PackedMatrix weight, float* y, bool planar, float* moments)
    {
        var job = new ConvJob<TSource> { _source = source, _weight = weight.View, _y = y, _rows = rows, _planar = planar, _moments = moments };
        job._blockRows = BlockRows(rows, context.Workers);
        long scratch = GemmCore.PanelFloats(job._blockRows) + ((long)GemmCore.PaddedRows(job._blockRows) * job._weight.PaddedColumns);
        context.Run(ref job, job.Parts, scratch, (long)rows * weight.Depth * weight.Columns);
        GC.KeepAlive(weight);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<TOps, TVec, TTile>(int part, float* scratch)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
        where TTile : struct, IGemmMicroKernel
    {
        int row0 = part * _blockRows, rows = Math.Min(_blockRows, _rows - row0);
        int columns = _weight.Columns, ldc = _weight.PaddedColumns;
        float* c = scratch + GemmCore.PanelFloats(_blockRows);
        TSource source = _source;
        GemmCore.Multiply<TSource, TOps, TVec, TTile>(ref source, row0, rows, _weight, c, ldc, scratch);
        if (_planar)
        {
            Transposition.Run<TOps, TVec>(c, ldc, rows, columns, _y + row0, _rows);
        }
        else
        {
            for (int i = 0; i < rows; i++)
                Rows.Copy<TOps, TVec>(c + ((nint)i * ldc), _y + ((nint)(row0 + i) * columns), columns);
        }

        Moments<TOps, TVec>(c, ldc, row0, rows, columns);
    }

    /// <summary>Rows of a part: whole blocks of <see cref="ChannelMoments"/>, shared out evenly.</summary>
    private static int BlockRows(int rows, int workers)
    {
        int unit = ChannelMoments.BlockRows(rows);
        return unit * EvenShares.Size(ChannelMoments.Blocks(rows), 1, GemmCore.BlockRows / unit, workers);
    }

    private readonly void Moments<TOps, TVec>(float* c, nint ldc, int row0, int rows, int columns)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int unit = ChannelMoments.BlockRows(_rows);
        for (int i = 0; _moments is not null && i < rows; i += unit)
            ChannelMoments.Block<TOps, TVec>(c + (i * ldc), ldc, Math.Min(unit, rows - i), columns, _moments + ((nint)((row0 + i) / unit) * 2 * columns));
    }
}
