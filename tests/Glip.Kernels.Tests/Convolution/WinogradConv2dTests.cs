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
        Refusal.NamesNull("context", () => WinogradFilter.Pack(null!, new float[36], 2, 2, []));
        Refusal.Names("weight", "weight needs 36 elements, has 35", () => WinogradFilter.Pack(context, new float[35], 2, 2, []));
        Refusal.Names("bias", "bias has 3 values for 2 outputs", () => WinogradFilter.Pack(context, new float[36], 2, 2, new float[3]));
        Assert.Throws<ArgumentOutOfRangeException>("outputs", () => WinogradFilter.Pack(context, [], 0, 2, []));
        Assert.Throws<ArgumentOutOfRangeException>("channels", () => WinogradFilter.Pack(context, [], 2, 0, []));
        Refusal.NamesNull("context", () => WinogradConv2d.Forward(null!, new float[8], 2, 2, filter, new float[8]));
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
