using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>The weights of a 3×3 convolution in Winograd's basis: one matrix for each of the 16 positions of a transformed 4×4 patch.</summary>
public sealed unsafe class WinogradFilter
{
    private readonly PackedMatrix[] _positions = new PackedMatrix[WinogradConv2d.Positions];
    private readonly FixedMemory _bias;

    /// <summary>A filter in memory that holds it already, or that is going to be given it (<see cref="Fill"/>).</summary>
    /// <param name="outputs">O.</param>
    /// <param name="channels">C.</param>
    /// <param name="layout">How the positions' matrices are cut into panels.</param>
    /// <param name="memory"><see cref="BytesOf"/>.</param>
    public WinogradFilter(int outputs, int channels, PanelLayout layout, FixedMemory memory)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(channels, 1);
        Outputs = outputs;
        Channels = channels;
        Bytes = BytesOf(outputs, channels, layout);
        Check.That(memory.Length >= Bytes, $"{nameof(memory)} has {memory.Length} bytes, needs {Bytes}", nameof(memory));

        // Positions, one after the other; zeros, the bias that they share; the filter's own bias.
        var shape = new PackedShape(outputs, channels, layout);
        FixedMemory zeros = memory.Slice(WinogradConv2d.Positions * shape.PanelBytes, shape.BiasBytes);
        _bias = memory.Slice(Bytes - shape.BiasBytes, shape.BiasBytes);
        for (int p = 0; p < WinogradConv2d.Positions; p++)
            _positions[p] = new PackedMatrix(shape, memory.Slice(p * shape.PanelBytes, shape.PanelBytes), zeros);
    }

    /// <summary>Output channels.</summary>
    public int Outputs { get; }

    /// <summary>Input channels.</summary>
    public int Channels { get; }

    /// <summary>Bytes held.</summary>
    public long Bytes { get; }

    internal PackedMatrix this[int position] => _positions[position];

    internal ReadOnlySpan<float> Bias => _bias.Span<float>();

    /// <summary>Bytes of a filter's memory.</summary>
    public static long BytesOf(int outputs, int channels, PanelLayout layout)
    {
        var shape = new PackedShape(outputs, channels, layout);
        return (WinogradConv2d.Positions * shape.PanelBytes) + (2 * shape.BiasBytes);
    }

    /// <summary>Transforms and packs weights as checkpoints store them.</summary>
    /// <param name="context">Decides the panel width; a filter only fits contexts of the same instruction set.</param>
    /// <param name="weight">[O, C, 3, 3].</param>
    /// <param name="outputs">O.</param>
    /// <param name="channels">C.</param>
    /// <param name="bias">[O], or empty for none.</param>
    public static WinogradFilter Pack(KernelContext context, ReadOnlySpan<float> weight, int outputs, int channels, ReadOnlySpan<float> bias)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(channels, 1);
        PanelLayout layout = GemmTable.Layout(context.Isa);
        var filter = new WinogradFilter(outputs, channels, layout, FixedMemory.Pinned(BytesOf(outputs, channels, layout)));
        filter.Fill(context, weight, bias);
        return filter;
    }

    /// <summary>Transforms and packs weights into the filter's memory.</summary>
    /// <param name="context">Workers that share the work. Its instruction set need not be the one whose tiles read the panels.</param>
    /// <param name="weight">[O, C, 3, 3].</param>
    /// <param name="bias">[O], or empty for none.</param>
    public void Fill(KernelContext context, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.Length(weight, 9L * Outputs * Channels, nameof(weight));
        Check.That(bias.IsEmpty || bias.Length == Outputs, $"{nameof(bias)} has {bias.Length} values for {Outputs} outputs", nameof(bias));
        var position = new float[Outputs * Channels];
        for (int p = 0; p < WinogradConv2d.Positions; p++)
        {
            for (int i = 0; i < position.Length; i++)
                position[i] = Transform(weight.Slice(i * 9, 9), p / 4, p % 4);
            _positions[p].PackRows(context, position, []);
        }

        Span<float> own = _bias.Span<float>();
        bias.CopyTo(own);
        own[bias.Length..].Clear();
    }

    /// <summary>Element (i, j) of G·g·Gᵀ, in double.</summary>
    private static float Transform(ReadOnlySpan<float> g, int i, int j)
    {
        double sum = 0;
        for (int y = 0; y < 3; y++)
        {
            for (int x = 0; x < 3; x++)
                sum += Factor(i, y) * Factor(j, x) * g[(3 * y) + x];
        }

        return (float)sum;

        // G = [1 0 0; ½ ½ ½; ½ −½ ½; 0 0 1].
        static double Factor(int row, int column) => row switch
        {
            0 => column == 0 ? 1 : 0,
            3 => column == 2 ? 1 : 0,
            _ => row == 2 && column == 1 ? -0.5 : 0.5,
        };
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
    /// <param name="filter">Transformed weights [O, C].</param>
    /// <param name="y">[H, W, O], or [O, H, W] if <paramref name="planar"/>.</param>
    /// <param name="planar">True to write channel planes.</param>
    public static void Forward(KernelContext context, ReadOnlySpan<float> x, int height, int width, WinogradFilter filter, Span<float> y, bool planar = false)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(filter);
        Check.Packed(context, filter[0], filter.Channels, nameof(filter));
        Check.Length(x, (long)height * width * filter.Channels, nameof(x));
        Check.Length(y, (long)height * width * filter.Outputs, nameof(y));
        PackedView* positions = stackalloc PackedView[Positions];
        for (int p = 0; p < Positions; p++)
            positions[p] = filter[p].View;
        fixed (float* px = x)
        fixed (float* pb = filter.Bias)
        fixed (float* py = y)
        {
            int patches = (height + 1) / 2 * ((width + 1) / 2);
            var job = new Job(px, height, width, positions, pb, py, planar);
            context.Run(
                ref job, (patches + BlockPatches - 1) / BlockPatches, job.ScratchFloats, MultiplyAdds(height, width, filter.Channels, filter.Outputs));
        }

        GC.KeepAlive(filter);
    }

    private readonly struct Job(float* x, int height, int width, PackedView* positions, float* bias, float* y, bool planar) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _bias = bias;
        private readonly float* _y = y;
        private readonly PackedView* _positions = positions;
        private readonly int _height = height;
        private readonly int _width = width;
        private readonly bool _planar = planar;

        public long ScratchFloats => GemmCore.PanelFloats(BlockPatches) + _positions->Depth + (Positions * (long)ProductFloats);

        private int ProductFloats => GemmCore.PaddedRows(BlockPatches) * _positions->PaddedColumns;

        private int PatchesAcross => (_width + 1) / 2;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int patches = (_height + 1) / 2 * PatchesAcross, first = part * BlockPatches, count = Math.Min(BlockPatches, patches - first);
            int stride = _positions->PaddedColumns, channels = _positions->Depth;
            float* zeros = scratch + GemmCore.PanelFloats(BlockPatches);
            float* products = zeros + channels;
            new Span<float>(zeros, channels).Clear();
            for (int p = 0; p < Positions; p++)
            {
                var source = new PatchRows(_x, _height, _width, channels, zeros, p / 4, p % 4);
                GemmCore.Multiply<PatchRows, TOps, TVec, TTile>(ref source, first, count, _positions[p], products + (p * (nint)ProductFloats), stride, scratch);
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
            int top = patch / PatchesAcross * 2, left = patch % PatchesAcross * 2, outputs = _positions->Columns;
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
