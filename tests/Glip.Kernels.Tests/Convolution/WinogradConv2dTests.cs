using FsCheck;
using FsCheck.Fluent;

namespace Glip.Kernels.Tests;

public class WinogradConv2dTests
{
    // Transforms add: a patch element is a sum of 4 cells, an output of 9 products, each of weights summed from up to 9. Measured: within 2 of the direct bound.
    private const int Amplification = 4;

    [Theory]
    [EachIsa]
    public void ForwardIsTheConvolutionForEverySize(SimdIsa isa)
    {
        foreach ((int height, int width) in ((int, int)[])[(1, 1), (1, 6), (5, 1), (2, 2), (3, 3), (4, 4), (7, 9), (13, 17)])
        {
            foreach (bool planar in (bool[])[false, true])
            {
                Check(isa, new Case(height, width, 3, 5, planar));
                Check(isa, new Case(height, width, 17, 33, planar));
            }
        }

        // More than one pass of k, and more than one block of patches.
        Check(isa, new Case(20, 23, 300, 9, Planar: false));
        Check(isa, new Case(9, 8, 1, 1, Planar: true));
    }

    [Theory]
    [EachIsa]
    public void ForwardIsTheConvolutionAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 30).Two().ToArbitrary(), Gen.Choose(1, 70).Two().ToArbitrary(), ArbMap.Default.ArbFor<bool>(),
            (size, channels, planar) => Check(isa, new Case(size.Item1, size.Item2, channels.Item1, channels.Item2, planar)))
            .Check(Properties.Cases(15));

    [Fact]
    public void HalfSizeWeightsTakeNineMatricesAndSingleOnesSixteen()
    {
        var shape = new PackedShape(64, 32, new PanelLayout(64, 16));
        Assert.Equal(16 * 64 * 32 * 4, WinogradFilter.MatrixBytes(shape));
        Assert.Equal(9 * 64 * 32 * 2, WinogradFilter.MatrixBytes(shape with { Type = PanelType.Half }));
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        Assert.Equal(0, WinogradFilter.Pack(context, new float[64 * 32 * 9], 64, 32, []).WorkspaceFloats);
        Assert.Equal(16 * 64 * 32, WinogradFilter.Pack(context, PanelType.BFloat16, new ushort[64 * 32 * 9], 64, 32, []).WorkspaceFloats);
    }

    [Fact]
    public void OnlyTheCountedProductsAreExecuted()
    {
        using var context = new KernelContext(SimdIsas.Best);
        WinogradFilter filter = WinogradFilter.Pack(context, new float[9 * 6], 2, 3, []);
        WinogradConv2d.Forward(context, new float[5 * 7 * 3], 5, 7, filter, new float[5 * 7 * 2]);
        Assert.Equal(16 * 3 * 4 * 3 * 2, context.MultiplyAdds);
        Assert.Equal(context.MultiplyAdds, WinogradConv2d.MultiplyAdds(5, 7, 3, 2));
    }

    [Fact]
    public void ItSuitsOneWindow()
    {
        Assert.True(WinogradConv2d.Suits(new ConvWindow(3, 1, 1)));
        foreach (ConvWindow other in (ConvWindow[])[new(3, 2, 1), new(3, 1, 0), new(1, 1, 0), new(4, 4, 0)])
            Assert.False(WinogradConv2d.Suits(other));
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        WinogradFilter filter = WinogradFilter.Pack(context, new float[36], 2, 2, []);
        WinogradFilter half = WinogradFilter.Pack(context, PanelType.Half, new ushort[36], 2, 2, []);
        Refusal.NamesNull("context", () => WinogradFilter.Pack(null!, new float[36], 2, 2, []));
        Refusal.Names("weight", "weight needs 36 elements, has 35", () => WinogradFilter.Pack(context, new float[35], 2, 2, []));
        Refusal.Names("bias", "bias has 3 values for 2 outputs", () => WinogradFilter.Pack(context, new float[36], 2, 2, new float[3]));
        Assert.Throws<ArgumentOutOfRangeException>("outputs", () => WinogradFilter.Pack(context, [], 0, 2, []));
        Assert.Throws<ArgumentOutOfRangeException>("channels", () => WinogradFilter.Pack(context, [], 2, 0, []));
        Refusal.NamesNull("context", () => WinogradConv2d.Forward(null!, new float[8], 2, 2, filter, new float[8]));
        Refusal.NamesNull("context", () => WinogradFilter.Pack(null!, PanelType.Half, new ushort[36], 2, 2, []));
        Refusal.Names("weight", "weight needs 36 elements, has 35", () => WinogradFilter.Pack(context, PanelType.Half, new ushort[35], 2, 2, []));
        Refusal.Names("weight", "weight has elements of 4 bytes, the filter is of type Half", () => half.Fill(context, new float[36], []));
        Refusal.Names("weight", "weight has elements of 2 bytes, the filter is of type Single", () => filter.Fill(context, new ushort[36], []));
        PackedShape shape = new(2, 2, GemmTable.Layout(context.Isa));
        int bytes = (int)WinogradFilter.MatrixBytes(shape);
        FixedMemory enough = FixedMemory.Pinned(bytes), bias = FixedMemory.Pinned(shape.BiasBytes);
        Refusal.Names("matrices", $"matrices has {bytes - 1} bytes, needs {bytes}", () => new WinogradFilter(shape, enough.Slice(0, bytes - 1), bias));
        Refusal.Names("bias", $"bias has 0 bytes, needs {shape.BiasBytes}", () => new WinogradFilter(shape, enough, bias.Slice(0, 0)));
        Assert.Throws<ArgumentOutOfRangeException>("outputs", () => new WinogradFilter(shape with { Columns = 0 }, enough, bias));
        Assert.Throws<ArgumentOutOfRangeException>("channels", () => new WinogradFilter(shape with { Depth = 0 }, enough, bias));
        Refusal.Names(
            "workspace", $"workspace needs {half.WorkspaceFloats} elements, has {half.WorkspaceFloats - 1}",
            () => WinogradConv2d.Forward(context, new float[8], 2, 2, half, new float[8], workspace: new float[half.WorkspaceFloats - 1]));
        Refusal.NamesNull("filter", () => WinogradConv2d.Forward(context, new float[8], 2, 2, null!, new float[8]));
        Refusal.Names("x", "x needs 8 elements, has 7", () => WinogradConv2d.Forward(context, new float[7], 2, 2, filter, new float[8]));
        Refusal.Names("y", "y needs 8 elements, has 7", () => WinogradConv2d.Forward(context, new float[8], 2, 2, filter, new float[7]));
    }

    private static void Check(SimdIsa isa, Case test)
    {
        float[] y = KernelProbe.RunOne(isa, (context, buffers) => WinogradConv2d.Forward(
            context, buffers.In(test.X), test.Height, test.Width,
            WinogradFilter.Pack(context, test.Weight, test.Outputs, test.Channels, test.Bias), buffers.Out(test.Height * test.Width * test.Outputs), test.Planar));
        if (test.Planar)
            y = Layouts.ToCells(y, test.Outputs);
        double[] x = Reference.Widen(test.X), weight = Reference.Widen(test.Weight), bias = Reference.Widen(test.Bias);
        double[] magnitudes = test.Convolve(Reference.Map(x, _ => 1), Reference.Map(weight, _ => 1), Reference.Abs(bias));
        Close.ToMagnitudes(test.Convolve(x, weight, bias), magnitudes, y, Amplification * Tolerance.Sum(9 * test.Channels), $"{test}");
    }

    private sealed record Case(int Height, int Width, int Channels, int Outputs, bool Planar)
    {
        public float[] X { get; } = Noise.Uniform(1, Height * Width * Channels);

        public float[] Weight { get; } = Noise.Uniform(2, Outputs * Channels * 9);

        public float[] Bias { get; } = Noise.Uniform(3, Outputs);

        public double[] Convolve(double[] x, double[] weight, double[] bias) => Reference.Conv2d(x, Height, Width, Channels, 3, 1, 1, weight, bias, Outputs);

        public override string ToString() => $"{Height} × {Width} × {Channels} to {Outputs}, planar {Planar}";
    }
}
