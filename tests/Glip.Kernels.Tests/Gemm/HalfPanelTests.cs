namespace Glip.Kernels.Tests;

/// <summary>Half-size weights must give the very bits that the same weights give in single precision.</summary>
public class HalfPanelTests
{
    private static readonly PanelType[] s_halfSizes = [PanelType.Half, PanelType.BFloat16];

    [Theory]
    [EachIsa]
    public void EveryFiniteNumberWidensExactly(SimdIsa isa)
    {
        foreach (PanelType type in s_halfSizes)
        {
            // An odd number of them, so that there is a remainder behind the last vector.
            ushort[] bits = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i).Where(i => float.IsFinite(Widen(type, i))).Skip(1)];
            float[] widened = new float[bits.Length];
            PanelTypes.Widen(TestContexts.Get(isa), type, bits, widened);
            Close.Bits([.. bits.Select(b => Widen(type, b))], widened, $"{type}");
        }
    }

    [Theory]
    [EachIsa]
    public void ProductsHaveTheBitsOfWidenedWeights(SimdIsa isa)
    {
        // Around tiles, panels and passes of 256; few columns; few and many rows.
        foreach ((int rows, int columns, int depth) in ((int, int, int)[])[(1, 1, 9), (13, 8, 300), (13, 67, 530), (205, 33, 17), (97, 257, 256), (6, 300, 257)])
        {
            foreach (PanelType type in s_halfSizes)
            {
                ushort[] bits = Narrow(type, Noise.Uniform(3, columns * depth));
                float[] widened = [.. bits.Select(b => Widen(type, b))], x = Noise.Uniform(4, rows * depth), bias = Noise.Uniform(5, columns);
                float[] residual = Noise.Uniform(6, rows * columns);
                float[] expected = KernelProbe.RunOne(isa, (context, buffers) => Gemm.Linear(
                    context, buffers.In(x), rows, PackedMatrix.FromRows(context, widened, columns, depth, bias), buffers.Out(rows * columns)));
                float[] expectedSum = KernelProbe.RunOne(isa, (context, buffers) => Gemm.Linear(
                    context, buffers.In(x), rows, PackedMatrix.FromRows(context, widened, columns, depth, bias), buffers.Out(rows * columns), residual: residual));
                foreach (bool byColumns in (bool[])[false, true])
                {
                    string what = $"{type} {rows}x{columns}x{depth}, by columns: {byColumns}";
                    Close.Bits(expected, KernelProbe.RunOne(isa, (context, buffers) => Gemm.Linear(
                        context, buffers.In(x), rows, Pack(context, type, bits, columns, depth, bias, byColumns), buffers.Out(rows * columns))), what);
                    Close.Bits(expectedSum, KernelProbe.RunOne(isa, (context, buffers) => Gemm.Linear(
                        context, buffers.In(x), rows, Pack(context, type, bits, columns, depth, bias, byColumns), buffers.Out(rows * columns), residual: residual)), what + ", sum");
                }
            }
        }
    }

    [Theory]
    [EachIsa]
    public void ConvolutionsHaveTheBitsOfWidenedWeights(SimdIsa isa)
    {
        const int Height = 9, Width = 13, Channels = 40, Outputs = 35;
        ushort[] bits = Narrow(PanelType.Half, Noise.Uniform(7, Outputs * 9 * Channels));
        float[] widened = [.. bits.Select(b => Widen(PanelType.Half, b))], x = Noise.Uniform(8, Height * Width * Channels), bias = Noise.Uniform(9, Outputs);
        float[] Run(Func<KernelContext, PackedMatrix> weight) => KernelProbe.RunOne(isa, (context, buffers) => Conv2d.Forward(
            context, buffers.In(x), Height, Width, Channels, new ConvWindow(3, 1, 1), weight(context), buffers.Out(Height * Width * Outputs)));
        Close.Bits(
            Run(context => PackedMatrix.FromRows(context, widened, Outputs, 9 * Channels, bias)),
            Run(context => Pack(context, PanelType.Half, bits, Outputs, 9 * Channels, bias, byColumns: false)), "convolution");
    }

    [Theory]
    [EachIsa]
    public void FiltersForWinogradHaveTheBitsOfWidenedOnes(SimdIsa isa)
    {
        const int Height = 5, Width = 6;

        // Around vectors, panels and parts of the transformation; an odd number of elements before the next tap's.
        foreach ((int channels, int outputs) in ((int, int)[])[(1, 1), (3, 5), (17, 33), (70, 65), (40, 130)])
        {
            float[] x = Noise.Uniform(10, Height * Width * channels), bias = Noise.Uniform(11, outputs);
            foreach (PanelType type in s_halfSizes)
            {
                ushort[] bits = Narrow(type, Noise.Uniform(12, outputs * channels * 9));
                float[] widened = [.. bits.Select(b => Widen(type, b))];
                float[] expected = KernelProbe.RunOne(isa, (context, buffers) => WinogradConv2d.Forward(
                    context, buffers.In(x), Height, Width, WinogradFilter.Pack(context, widened, outputs, channels, bias), buffers.Out(Height * Width * outputs)));
                float[][] found = KernelProbe.Run(isa, (context, buffers) =>
                {
                    WinogradFilter filter = WinogradFilter.Pack(context, type, bits, outputs, channels, bias);
                    WinogradConv2d.Forward(
                        context, buffers.In(x), Height, Width, filter, buffers.Out(Height * Width * outputs), workspace: buffers.Out(filter.WorkspaceFloats));
                });
                Close.Bits(expected, found[0], $"{type}, {channels} to {outputs}");
            }
        }
    }

    [Fact]
    public void WideningRefusesWhatIsNotHalfSize()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        Refusal.NamesNull("context", () => PanelTypes.Widen(null!, PanelType.Half, [], []));
        Refusal.Names("type", "Single is not half-size", () => PanelTypes.Widen(context, PanelType.Single, new ushort[2], new float[2]));
        Refusal.Names("target", "target needs 2 elements, has 1", () => PanelTypes.Widen(context, PanelType.Half, new ushort[2], new float[1]));
    }

    private static PackedMatrix Pack(KernelContext context, PanelType type, ushort[] bits, int columns, int depth, float[] bias, bool byColumns)
    {
        var shape = new PackedShape(columns, depth, GemmTable.Layout(context.Isa), type);

        // Memory full of ones: packing must write all of it that products read.
        FixedMemory panels = FixedMemory.Pinned(shape.PanelBytes), start = FixedMemory.Pinned(shape.BiasBytes);
        panels.Span<byte>().Fill(0xFF);
        start.Span<byte>().Fill(0xFF);
        var matrix = new PackedMatrix(shape, panels, start);
        if (!byColumns)
        {
            matrix.PackRows(context, bits, bias);
            return matrix;
        }

        var turned = new ushort[bits.Length];
        for (int i = 0; i < bits.Length; i++)
            turned[(i % depth * columns) + (i / depth)] = bits[i];
        matrix.PackColumns(context, turned, bias);
        return matrix;
    }

    private static ushort[] Narrow(PanelType type, float[] values) => [.. values.Select(v => type == PanelType.Half
        ? BitConverter.HalfToUInt16Bits((Half)v)
        : (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16))];

    private static float Widen(PanelType type, ushort bits) => type == PanelType.Half
        ? (float)BitConverter.UInt16BitsToHalf(bits)
        : BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
