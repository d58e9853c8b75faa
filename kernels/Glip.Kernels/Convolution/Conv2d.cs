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
            var map = new ConvMap<WindowRows>(source, outputs, weight.View, py, null);
            ConvJob<WindowRows>.Run(context, new Span<ConvMap<WindowRows>>(ref map), planar);
        }

        GC.KeepAlive(weight);
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

/// <summary>One map's share of a <see cref="ConvJob{TSource}"/>.</summary>
internal unsafe struct ConvMap<TSource>(TSource source, int rows, PackedView weight, float* y, float* moments)
    where TSource : unmanaged, IRowSource
{
    /// <summary>Its implicit column matrix.</summary>
    public readonly TSource Source = source;

    /// <summary>Output cells.</summary>
    public readonly int Rows = rows;

    public readonly PackedView Weight = weight;

    /// <summary>[rows, O], or planes.</summary>
    public readonly float* Y = y;

    /// <summary>Receives each block's <see cref="ChannelMoments"/>, if not null.</summary>
    public readonly float* Moments = moments;

    /// <summary>Its first part of the job.</summary>
    public int FirstPart { get; private set; }

    /// <summary>Cells of a part: whole blocks of <see cref="ChannelMoments"/>.</summary>
    public int BlockRows { get; private set; }

    public readonly int Parts => (Rows + BlockRows - 1) / BlockRows;

    /// <summary>Where a part keeps its products, behind the panel.</summary>
    public readonly int PanelFloats => GemmCore.PanelFloats(BlockRows);

    public readonly long ScratchFloats => PanelFloats + ((long)GemmCore.PaddedRows(BlockRows) * Weight.PaddedColumns);

    public readonly long MultiplyAdds => (long)Rows * Weight.Depth * Weight.Columns;

    /// <summary>Shares the map out evenly, as parts from <paramref name="firstPart"/> on.</summary>
    public void Share(int workers, int firstPart)
    {
        int unit = ChannelMoments.BlockRows(Rows);
        BlockRows = unit * EvenShares.Size(ChannelMoments.Blocks(Rows), 1, GemmCore.BlockRows / unit, workers);
        FirstPart = firstPart;
    }
}

/// <summary>The loop that dense and deformable convolutions share: blocks of output cells, products, then the store in the wanted layout.</summary>
/// <remarks>Several maps in one job keep all workers busy until the last small part of the last map; a job each would let them wait for each other as often.</remarks>
internal readonly unsafe struct ConvJob<TSource> : IKernelJob
    where TSource : unmanaged, IRowSource
{
    private readonly ConvMap<TSource>* _maps;
    private readonly int _count;
    private readonly bool _planar;

    private ConvJob(ConvMap<TSource>* maps, int count, bool planar)
    {
        _maps = maps;
        _count = count;
        _planar = planar;
    }

    /// <summary>Computes all maps; large ones should come first.</summary>
    public static void Run(KernelContext context, Span<ConvMap<TSource>> maps, bool planar = false)
    {
        int parts = 0;
        long scratch = 0, multiplyAdds = 0;
        foreach (ref ConvMap<TSource> map in maps)
        {
            map.Share(context.Workers, parts);
            parts += map.Parts;
            scratch = Math.Max(scratch, map.ScratchFloats);
            multiplyAdds += map.MultiplyAdds;
        }

        fixed (ConvMap<TSource>* pm = maps)
        {
            var job = new ConvJob<TSource>(pm, maps.Length, planar);
            context.Run(ref job, parts, scratch, multiplyAdds);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run<TOps, TVec, TTile>(int part, float* scratch)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
        where TTile : struct, IGemmMicroKernel
    {
        ConvMap<TSource>* map = _maps + _count - 1;
        while (part < map->FirstPart)
            map--;
        int row0 = (part - map->FirstPart) * map->BlockRows, rows = Math.Min(map->BlockRows, map->Rows - row0);
        int columns = map->Weight.Columns, ldc = map->Weight.PaddedColumns;
        float* c = scratch + map->PanelFloats;
        TSource source = map->Source;
        GemmCore.Multiply<TSource, TOps, TVec, TTile>(ref source, row0, rows, map->Weight, c, ldc, scratch);
        if (_planar)
        {
            Transposition.Run<TOps, TVec>(c, ldc, rows, columns, map->Y + row0, map->Rows);
        }
        else
        {
            for (int i = 0; i < rows; i++)
                Rows.Copy<TOps, TVec>(c + ((nint)i * ldc), map->Y + ((nint)(row0 + i) * columns), columns);
        }

        int unit = ChannelMoments.BlockRows(map->Rows);
        for (int i = 0; map->Moments is not null && i < rows; i += unit)
            ChannelMoments.Block<TOps, TVec>(c + (i * ldc), ldc, Math.Min(unit, rows - i), columns, map->Moments + ((nint)((row0 + i) / unit) * 2 * columns));
    }
}
