using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// The weights of a 3×3 convolution for <see cref="WinogradConv2d"/>. In single precision they are kept in Winograd's basis: one matrix for each of the 16 positions of a
/// transformed 4×4 patch. Half-size they are kept as they are, one matrix for each of the nine taps, because their sums would have to be rounded; every call then
/// transforms them into its workspace, to the same bits.
/// </summary>
public sealed unsafe class WinogradFilter
{
    private const int Taps = 9;
    private readonly PackedShape _shape;
    private readonly FixedMemory _matrices;
    private readonly FixedMemory _bias;

    /// <summary>A filter in memory that holds it already, or that is going to be given it (<see cref="Fill(KernelContext, ReadOnlySpan{float}, ReadOnlySpan{float})"/>).</summary>
    /// <param name="shape">Of each of its matrices: O columns, C rows.</param>
    /// <param name="matrices"><see cref="MatrixBytes"/>.</param>
    /// <param name="bias"><see cref="PackedShape.BiasBytes"/>.</param>
    public WinogradFilter(PackedShape shape, FixedMemory matrices, FixedMemory bias)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shape.Columns, 1, "outputs");
        ArgumentOutOfRangeException.ThrowIfLessThan(shape.Depth, 1, "channels");
        long needed = MatrixBytes(shape);
        Check.That(matrices.Length >= needed, $"{nameof(matrices)} has {matrices.Length} bytes, needs {needed}", nameof(matrices));
        Check.That(bias.Length >= shape.BiasBytes, $"{nameof(bias)} has {bias.Length} bytes, needs {shape.BiasBytes}", nameof(bias));
        _shape = shape;
        _matrices = matrices;
        _bias = bias;
    }

    /// <summary>O: output channels.</summary>
    public int Outputs => _shape.Columns;

    /// <summary>C: input channels.</summary>
    public int Channels => _shape.Depth;

    /// <summary>How the numbers are kept.</summary>
    public PanelType Type => _shape.Type;

    /// <summary>Floats of workspace that a call needs; 0 in single precision.</summary>
    public int WorkspaceFloats => Type == PanelType.Single ? 0 : checked((int)(WinogradConv2d.Positions * Singles.PanelBytes / sizeof(float)));

    internal PanelLayout Layout => _shape.Layout;

    internal ReadOnlySpan<float> Bias => _bias.Span<float>();

    /// <summary>Shape of a matrix of transformed weights.</summary>
    internal PackedShape Singles => _shape with { Type = PanelType.Single };

    /// <summary>Bytes of a filter's matrices.</summary>
    public static long MatrixBytes(PackedShape shape) => (shape.Type == PanelType.Single ? WinogradConv2d.Positions : Taps) * shape.PanelBytes;

    /// <summary>Packs weights as checkpoints store them, in single precision.</summary>
    /// <param name="context">Decides the panel width; a filter only fits contexts of the same instruction set.</param>
    /// <param name="weight">[O, C, 3, 3].</param>
    /// <param name="outputs">O.</param>
    /// <param name="channels">C.</param>
    /// <param name="bias">[O], or empty for none.</param>
    public static WinogradFilter Pack(KernelContext context, ReadOnlySpan<float> weight, int outputs, int channels, ReadOnlySpan<float> bias)
    {
        WinogradFilter filter = Create(context, outputs, channels, PanelType.Single);
        filter.Fill(context, weight, bias);
        return filter;
    }

    /// <summary>Packs half-size weights.</summary>
    /// <param name="context">Decides the panel width; a filter only fits contexts of the same instruction set.</param>
    /// <param name="type"><see cref="PanelType.Half"/> or <see cref="PanelType.BFloat16"/>.</param>
    /// <param name="weight">Bits of [O, C, 3, 3].</param>
    /// <param name="outputs">O.</param>
    /// <param name="channels">C.</param>
    /// <param name="bias">[O], or empty for none.</param>
    public static WinogradFilter Pack(
        KernelContext context, PanelType type, ReadOnlySpan<ushort> weight, int outputs, int channels, ReadOnlySpan<float> bias)
    {
        WinogradFilter filter = Create(context, outputs, channels, type);
        filter.Fill(context, weight, bias);
        return filter;
    }

    /// <summary>Fills the filter's memory.</summary>
    /// <param name="context">Workers that share the work. Its instruction set need not be the one whose tiles read the panels.</param>
    /// <param name="weight">[O, C, 3, 3]; for half-size filters their bits.</param>
    /// <param name="bias">[O], or empty for none.</param>
    public void Fill(KernelContext context, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias)
    {
        CheckFilling(context, weight.Length, sizeof(float), bias);
        _matrices.Span<byte>().Clear();
        var rows = new float[Outputs * Channels];
        FixedMemory taps = FixedMemory.Pinned(Taps * _shape.PanelBytes);
        for (int tap = 0; tap < Taps; tap++)
        {
            for (int i = 0; i < rows.Length; i++)
                rows[i] = weight[(i * Taps) + tap];
            fixed (float* source = rows)
                Packing.FromRows(context, source, Channels, Matrix(taps, tap));
        }

        Transform(context, (float*)taps.Address, (float*)_matrices.Address);
        GC.KeepAlive(taps);
        FillBias(bias);
    }

    /// <inheritdoc cref="Fill(KernelContext, ReadOnlySpan{float}, ReadOnlySpan{float})"/>
    public void Fill(KernelContext context, ReadOnlySpan<ushort> weight, ReadOnlySpan<float> bias)
    {
        CheckFilling(context, weight.Length, sizeof(ushort), bias);
        _matrices.Span<byte>().Clear();
        fixed (ushort* source = weight)
        {
            for (int tap = 0; tap < Taps; tap++)
                Packing.Halves(context, source + tap, (nint)Taps * Channels, Taps, Matrix(_matrices, tap));
        }

        FillBias(bias);
    }

    /// <summary>Where the transformed weights are: in the filter's own memory, or in <paramref name="workspace"/> after this.</summary>
    /// <param name="context">Workers that share the work.</param>
    /// <param name="workspace"><see cref="WorkspaceFloats"/> values, overwritten.</param>
    internal float* Transformed(KernelContext context, float* workspace)
    {
        if (Type == PanelType.Single)
            return (float*)_matrices.Address;
        Transform(context, (float*)_matrices.Address, workspace);
        return workspace;
    }

    private static WinogradFilter Create(KernelContext context, int outputs, int channels, PanelType type)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(channels, 1);
        var shape = new PackedShape(outputs, channels, GemmTable.Layout(context.Isa), type);
        return new WinogradFilter(shape, FixedMemory.Pinned(MatrixBytes(shape)), FixedMemory.Pinned(shape.BiasBytes));
    }

    private void CheckFilling(KernelContext context, int elements, int elementBytes, ReadOnlySpan<float> bias)
    {
        ArgumentNullException.ThrowIfNull(context);
        long needed = (long)Taps * Outputs * Channels;
        Check.That(elementBytes == Type.ElementBytes(), $"weight has elements of {elementBytes} bytes, the filter is of type {Type}", "weight");
        Check.That(elements >= needed, $"weight needs {needed} elements, has {elements}", "weight");
        Check.That(bias.IsEmpty || bias.Length == Outputs, $"{nameof(bias)} has {bias.Length} values for {Outputs} outputs", nameof(bias));
    }

    private void FillBias(ReadOnlySpan<float> bias)
    {
        Span<float> own = _bias.Span<float>();
        bias.CopyTo(own);
        own[bias.Length..].Clear();
    }

    private PackedView Matrix(FixedMemory matrices, int index) =>
        new((float*)(matrices.Address + (index * _shape.PanelBytes)), null, Outputs, Channels, Layout, Type);

    private void Transform(KernelContext context, float* taps, float* positions)
    {
        var job = new TransformJob(Type, taps, (nint)(_shape.PanelBytes / Type.ElementBytes()), positions, (nint)(Singles.PanelBytes / sizeof(float)), _shape.PanelElements);
        context.Run(ref job, job.Parts, TransformJob.ScratchFloats);
    }

    /// <summary>G·g·Gᵀ of all elements, in double: taps to positions, which lie in panels in the same order.</summary>
    private readonly struct TransformJob(PanelType type, float* taps, nint tapStride, float* positions, nint positionStride, long elements) : IKernelJob
    {
        private const int PartElements = 4096;
        private const int Chunk = 256;

        // Positions are far apart by a power of two, where 16 streams of stores would throw each other out of the cache: they are made here first.
        private const int ResultStride = Chunk + 16;

        private readonly float* _taps = taps;
        private readonly float* _positions = positions;

        public static long ScratchFloats => (Taps * Chunk) + (WinogradConv2d.Positions * ResultStride);

        public int Parts => (int)((elements + PartElements - 1) / PartElements);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            float* results = scratch + (Taps * Chunk);
            nint first = (nint)part * PartElements, end = (nint)Math.Min(elements, first + PartElements);
            for (nint i = first; i < end; i += Chunk)
            {
                int count = (int)Math.Min(Chunk, end - i);
                for (int tap = 0; tap < Taps; tap++)
                {
                    if (type == PanelType.Single)
                        Rows.Copy<TOps, TVec>(_taps + (tap * tapStride) + i, scratch + (tap * Chunk), count);
                    else
                        Widening.Run<TOps, TVec>(type, (ushort*)_taps + (tap * tapStride) + i, scratch + (tap * Chunk), count);
                }

                Transform(scratch, results, count);
                for (int p = 0; p < WinogradConv2d.Positions; p++)
                    Rows.Copy<TOps, TVec>(results + (p * ResultStride), _positions + (p * positionStride) + i, count);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Transform(float* g, float* y, int count)
        {
            for (int i = 0; i < count; i++, g++, y++)
            {
                double a0 = g[0], a1 = g[Chunk], a2 = g[2 * Chunk];
                double b0 = g[3 * Chunk], b1 = g[4 * Chunk], b2 = g[5 * Chunk];
                double c0 = g[6 * Chunk], c1 = g[7 * Chunk], c2 = g[8 * Chunk];
                double s0 = a0 + c0, s1 = a1 + c1, s2 = a2 + c2;
                Row(a0, a1, a2, y);
                Row((s0 + b0) * 0.5, (s1 + b1) * 0.5, (s2 + b2) * 0.5, y + (4 * ResultStride));
                Row((s0 - b0) * 0.5, (s1 - b1) * 0.5, (s2 - b2) * 0.5, y + (8 * ResultStride));
                Row(c0, c1, c2, y + (12 * ResultStride));
            }
        }

        /// <summary>A row times Gᵀ, where G = [1 0 0; ½ ½ ½; ½ −½ ½; 0 0 1].</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Row(double left, double middle, double right, float* y)
        {
            double outer = left + right;
            y[0] = (float)left;
            y[ResultStride] = (float)((outer + middle) * 0.5);
            y[2 * ResultStride] = (float)((outer - middle) * 0.5);
            y[3 * ResultStride] = (float)right;
        }
    }
}

/// <summary>
/// 3×3 convolution with stride 1 and padding 1 by Winograd's minimal filtering F(2×2, 3×3) (Lavin and Gray, CVPR 2016): 16 multiplications for four
/// outputs instead of 36.
/// </summary>
/// <remarks>
/// Each of the 16 positions of a transformed patch is a matrix product of its own. A patch is transformed while the GEMM's A panel is filled, so that
/// only the products of a block of patches are ever stored. All factors of the data transforms are ±1: the error stays within a few times that of the direct sum.
/// F(4×4) would save more and lose two digits.
/// </remarks>
public static unsafe class WinogradConv2d
{
    /// <summary>Positions of a transformed 4×4 patch.</summary>
    internal const int Positions = 16;

    // Patches of a part: their products (16 × 48 × C floats) and the map rows that they read fit the second-level cache together.
    private const int BlockPatches = 48;

    /// <summary>True if the window is the one that this method is for: 3×3, stride 1, padding 1.</summary>
    public static bool Suits(ConvWindow window) => window is { Kernel: 3, Stride: 1, Padding: 1 };

    /// <summary>Multiply-adds of the products; the transforms' additions are not counted.</summary>
    public static long MultiplyAdds(int height, int width, int channels, int outputs) =>
        (long)Positions * ((height + 1) / 2) * ((width + 1) / 2) * channels * outputs;

    /// <summary>y = conv(x) + b.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[H, W, C].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="filter">Weights of [O, C] and the bias.</param>
    /// <param name="y">[H, W, O], or [O, H, W] if <paramref name="planar"/>.</param>
    /// <param name="planar">True to write channel planes.</param>
    /// <param name="workspace"><see cref="WinogradFilter.WorkspaceFloats"/> values, overwritten.</param>
    public static void Forward(
        KernelContext context, ReadOnlySpan<float> x, int height, int width, WinogradFilter filter, Span<float> y, bool planar = false, Span<float> workspace = default)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(filter);
        Check.Packed(context, filter.Layout, nameof(filter));
        Check.Length(x, (long)height * width * filter.Channels, nameof(x));
        Check.Length(y, (long)height * width * filter.Outputs, nameof(y));
        Check.Length(workspace, filter.WorkspaceFloats, nameof(workspace));
        fixed (float* px = x)
        fixed (float* pb = filter.Bias)
        fixed (float* py = y)
        fixed (float* pw = workspace)
        {
            int patches = (height + 1) / 2 * ((width + 1) / 2);
            var job = new Job(px, height, width, filter.Transformed(context, pw), filter.Singles, pb, py, planar);
            context.Run(
                ref job, (patches + BlockPatches - 1) / BlockPatches, job.ScratchFloats, MultiplyAdds(height, width, filter.Channels, filter.Outputs));
        }

        GC.KeepAlive(filter);
    }

    private readonly struct Job(float* x, int height, int width, float* positions, PackedShape shape, float* bias, float* y, bool planar) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _positions = positions;
        private readonly float* _bias = bias;
        private readonly float* _y = y;
        private readonly PackedShape _shape = shape;
        private readonly int _height = height;
        private readonly int _width = width;
        private readonly bool _planar = planar;

        public long ScratchFloats => GemmCore.PanelFloats(BlockPatches) + Zeros + (Positions * (long)ProductFloats);

        private int ProductFloats => GemmCore.PaddedRows(BlockPatches) * PaddedOutputs;

        private int PaddedOutputs => _shape.Layout.Padded(_shape.Columns);

        // What padded cells hold, and the positions' bias.
        private int Zeros => Math.Max(_shape.Depth, PaddedOutputs);

        private int PatchesAcross => (_width + 1) / 2;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int patches = (_height + 1) / 2 * PatchesAcross, first = part * BlockPatches, count = Math.Min(BlockPatches, patches - first);
            int stride = PaddedOutputs, channels = _shape.Depth;
            nint positionFloats = (nint)(_shape.PanelBytes / sizeof(float));
            float* zeros = scratch + GemmCore.PanelFloats(BlockPatches);
            float* products = zeros + Zeros;
            new Span<float>(zeros, Zeros).Clear();
            for (int p = 0; p < Positions; p++)
            {
                var source = new PatchRows(_x, _height, _width, channels, zeros, p / 4, p % 4);
                var weight = new PackedView(_positions + (p * positionFloats), zeros, _shape.Columns, channels, _shape.Layout);
                GemmCore.Multiply<PatchRows, TOps, TVec, TTile>(ref source, first, count, weight, products + (p * (nint)ProductFloats), stride, scratch);
            }

            for (int i = 0; i < count; i++)
                Store<TOps, TVec>(first + i, products + ((nint)i * stride), stride);
        }

        /// <summary>Aᵀ·m·A of one patch and all outputs, plus bias: four cells of the result.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Store<TOps, TVec>(int patch, float* products, int stride)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            int top = patch / PatchesAcross * 2, left = patch % PatchesAcross * 2, outputs = _shape.Columns;
            nint plane = ProductFloats;

            // The first row of results can be overwritten in place: vector j is read before it is written.
            for (int j = 0; j < stride; j += TOps.Width)
            {
                float* m = products + j;
                TVec a0 = Column<TOps, TVec>(m, plane, out TVec b0), a1 = Column<TOps, TVec>(m + plane, plane, out TVec b1);
                TVec a2 = Column<TOps, TVec>(m + (2 * plane), plane, out TVec b2), a3 = Column<TOps, TVec>(m + (3 * plane), plane, out TVec b3);
                TOps.Store(TOps.Add(TOps.Add(a0, a1), a2), m);
                TOps.Store(TOps.Subtract(TOps.Subtract(a1, a2), a3), m + plane);
                TOps.Store(TOps.Add(TOps.Add(b0, b1), b2), m + (2 * plane));
                TOps.Store(TOps.Subtract(TOps.Subtract(b1, b2), b3), m + (3 * plane));
            }

            for (int cell = 0; cell < 4; cell++)
            {
                int cy = top + (cell >> 1), cx = left + (cell & 1);
                if (cy >= _height || cx >= _width)
                    continue;
                float* sums = products + (cell * plane);
                nint at = ((nint)cy * _width) + cx;
                if (_planar)
                {
                    nint cells = (nint)_height * _width;
                    for (int o = 0; o < outputs; o++)
                        _y[(o * cells) + at] = sums[o] + _bias[o];
                }
                else
                {
                    Rows.Add<TOps, TVec>(sums, _bias, _y + (at * outputs), outputs);
                }
            }
        }

        /// <summary>Both sums over a column of the 4×4 products: m₀ + m₁ + m₂, and m₁ − m₂ − m₃.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static TVec Column<TOps, TVec>(float* m, nint plane, out TVec lower)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            TVec m0 = TOps.Load(m), m1 = TOps.Load(m + (4 * plane)), m2 = TOps.Load(m + (8 * plane)), m3 = TOps.Load(m + (12 * plane));
            lower = TOps.Subtract(TOps.Subtract(m1, m2), m3);
            return TOps.Add(TOps.Add(m0, m1), m2);
        }
    }

    /// <summary>Rows of one position of Bᵀ·d·B: each element is the signed sum of four cells of a patch.</summary>
    private readonly struct PatchRows(float* x, int height, int width, int channels, float* zeros, int row, int column) : IRowSource
    {
        private readonly float* _x = x;
        private readonly float* _zeros = zeros;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Fill<TOps, TVec>(int row0, int rows, int k0, int depth, float* panel)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            int across = (width + 1) / 2;
            (int plusY, int otherY, float signY) = Terms(row);
            (int plusX, int otherX, float signX) = Terms(column);
            TVec sx = TOps.Broadcast(signX), sy = TOps.Broadcast(signY);
            for (int i = 0; i < rows; i++, panel += GemmCore.RowStride)
            {
                int top = ((row0 + i) / across * 2) - 1, left = ((row0 + i) % across * 2) - 1;
                float* a = Cell(top + plusY, left + plusX) + k0, b = Cell(top + plusY, left + otherX) + k0;
                float* c = Cell(top + otherY, left + plusX) + k0, d = Cell(top + otherY, left + otherX) + k0;
                int k = 0;
                for (; k <= depth - TOps.Width; k += TOps.Width)
                {
                    TVec upper = TOps.MultiplyAdd(TOps.Load(b + k), sx, TOps.Load(a + k));
                    TVec lower = TOps.MultiplyAdd(TOps.Load(d + k), sx, TOps.Load(c + k));
                    TOps.Store(TOps.MultiplyAdd(lower, sy, upper), panel + k);
                }

                for (; k < depth; k++)
                    panel[k] = a[k] + (b[k] * signX) + (signY * (c[k] + (d[k] * signX)));
            }
        }

        /// <summary>A row of Bᵀ = [1 0 −1 0; 0 1 1 0; 0 −1 1 0; 0 1 0 −1]: where it has +1, where its other term lies, and that one's sign.</summary>
        private static (int Plus, int Other, float Sign) Terms(int row) => row switch
        {
            0 => (0, 2, -1f),
            1 => (1, 2, 1f),
            2 => (2, 1, -1f),
            _ => (1, 3, -1f),
        };

        private float* Cell(int y, int x) =>
            (uint)y < (uint)height && (uint)x < (uint)width ? _x + ((((nint)y * width) + x) * channels) : _zeros;
    }
}
