using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class Conv2dTests
{
    private static readonly ConvWindow[] s_windows = [new(1, 1, 0), new(3, 1, 1), new(3, 2, 1), new(4, 4, 0)];

    [Theory]
    [EachIsa]
    public void ForwardAgreesForEveryWindowAndSize(SimdIsa isa)
    {
        foreach (ConvWindow window in s_windows)
        {
            foreach ((int height, int width) in ((int, int)[])[(1, 1), (1, 6), (5, 1), (2, 2), (4, 4), (7, 9), (13, 17)])
            {
                Check(isa, new Case(window, height, width, 3, 5));
                Check(isa, new Case(window, height, width, 17, 33) { Planar = true });
            }

            // More than one pass of k, and blocks of 96 outputs.
            Check(isa, new Case(window, 20, 23, 70, 9));
            Check(isa, new Case(window, 9, 8, 1, 1));
        }
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Elements(s_windows).ToArbitrary(), Gen.Choose(1, 15).Two().ToArbitrary(), Gen.Choose(1, 40).Two().ToArbitrary(),
            (window, size, channels) => Check(isa, new Case(window, size.Item1, size.Item2, channels.Item1, channels.Item2)))
            .Check(Properties.Cases(15));

    [Theory]
    [EachIsa]
    public void ReluClampsTheInput(SimdIsa isa)
    {
        foreach (ConvWindow window in s_windows)
            Check(isa, new Case(window, 9, 10, 21, 6) { Relu = true });
    }

    [Theory]
    [EachIsa]
    public void OnlyWindowsThatTouchAnInfiniteCellSeeIt(SimdIsa isa)
    {
        var test = new Case(new ConvWindow(3, 1, 1), 8, 9, 4, 3);
        test.X[((4 * 9) + 5) * 4] = float.PositiveInfinity;
        float[] y = Run(isa, test);
        for (int i = 0; i < y.Length; i++)
        {
            int row = i / 3 / 9, column = i / 3 % 9;
            Assert.Equal(row is >= 3 and <= 5 && column is >= 4 and <= 6, !float.IsFinite(y[i]));
        }
    }

    [Theory]
    [EachIsa]
    public void PatchEmbeddingMatchesTheOriginal(SimdIsa isa)
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", "patch_embed_13x18.safetensors"));
        const int Height = 13, Width = 18, PaddedHeight = 16, PaddedWidth = 20, Outputs = 10;
        float[] image = Layouts.ToCells(golden["input"].Float, 3), padded = new float[PaddedHeight * PaddedWidth * 3];
        for (int row = 0; row < Height; row++)
            image.AsSpan(row * Width * 3, Width * 3).CopyTo(padded.AsSpan(row * PaddedWidth * 3));
        float[] weight = Conv2d.ToChannelsLast(golden["param.proj.weight"].Float, Outputs, 3, 16);
        float[] projected = KernelProbe.RunOne(isa, (context, buffers) => Conv2d.Forward(
            context, buffers.In(padded), PaddedHeight, PaddedWidth, 3, new ConvWindow(4, 4, 0),
            PackedMatrix.FromRows(context, weight, Outputs, 48, golden["param.proj.bias"].Float), buffers.Out(4 * 5 * Outputs)));
        float[] normed = KernelProbe.RunOne(isa, (context, buffers) => LayerNorm.Forward(
            context, buffers.In(projected), 20, golden["param.norm.weight"].Float, golden["param.norm.bias"].Float, 1e-5f, buffers.Out(projected.Length)));
        Close.ToLargest(Reference.Widen(golden["output"].Float), Layouts.ToPlanes(normed, Outputs), Tolerance.Layer, "patch_embed");
    }

    [Theory]
    [InlineData(3, 1, 1, 0, 0)]
    [InlineData(3, 2, 1, 0, 0)]
    [InlineData(3, 2, 1, 1, 1)]
    [InlineData(3, 2, 1, 8, 4)]
    [InlineData(3, 2, 1, 9, 5)]
    [InlineData(4, 4, 0, 3, 0)]
    [InlineData(4, 4, 0, 4, 1)]
    [InlineData(4, 4, 0, 11, 2)]
    [InlineData(1, 1, 0, 7, 7)]
    public void WindowsCountTheirOutputs(int kernel, int stride, int padding, int length, int outputs) =>
        Assert.Equal(outputs, new ConvWindow(kernel, stride, padding).Output(length));

    [Fact]
    public void ChannelsLastIsATransposition()
    {
        // [O, C, cells] = [2, 3, 4], values say where they came from.
        float[] weight = [.. Enumerable.Range(0, 24).Select(i => (float)i)], moved = Conv2d.ToChannelsLast(weight, 2, 3, 4);
        Assert.Equal([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11], moved[..12]);
        Assert.Equal([12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23], moved[12..]);
        Assert.Throws<ArgumentException>("weight", () => Conv2d.ToChannelsLast(weight, 2, 3, 5));
    }

    [Fact]
    public void AMapWithoutCellsHasNoOutputs()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        PackedMatrix weight = PackedMatrix.FromRows(context, new float[18], 1, 18, []);
        Canary y = Canary.Blank(0);
        Conv2d.Forward(context, [], 0, 5, 2, new ConvWindow(3, 2, 1), weight, y);
        y.Verify();
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        var window = new ConvWindow(3, 1, 1);
        PackedMatrix weight = PackedMatrix.FromRows(context, new float[36], 2, 18, []);
        Refusal.NamesNull("context", () => Conv2d.Forward(null!, new float[8], 2, 2, 2, window, weight, new float[8]));
        Refusal.NamesNull("weight", () => Conv2d.Forward(context, new float[8], 2, 2, 2, window, null!, new float[8]));
        Refusal.Names("weight", "weight has depth 18, its input has 27 values", () => Conv2d.Forward(context, new float[12], 2, 2, 3, window, weight, new float[8]));
        Refusal.Names("x", "x needs 8 elements, has 7", () => Conv2d.Forward(context, new float[7], 2, 2, 2, window, weight, new float[8]));
        Refusal.Names("y", "y needs 8 elements, has 7", () => Conv2d.Forward(context, new float[8], 2, 2, 2, window, weight, new float[7]));
        Refusal.Names("window", "ConvWindow { Kernel = 3, Stride = 0, Padding = 1 } is not a window",
            () => Conv2d.Forward(context, new float[8], 2, 2, 2, new ConvWindow(3, 0, 1), weight, new float[8]));
    }

    private static float[] Run(SimdIsa isa, Case test) => KernelProbe.RunOne(isa, (context, buffers) =>
    {
        int cells = test.Window.Kernel * test.Window.Kernel;
        float[] weight = Conv2d.ToChannelsLast(test.Weight, test.Outputs, test.Channels, cells);
        Conv2d.Forward(
            context, buffers.In(test.X), test.Height, test.Width, test.Channels, test.Window,
            PackedMatrix.FromRows(context, weight, test.Outputs, cells * test.Channels, test.Bias), buffers.Out(test.Cells * test.Outputs), test.Relu, test.Planar);
    });

    private static void Check(SimdIsa isa, Case test)
    {
        float[] y = Run(isa, test);
        double[] x = Reference.Widen(test.X);
        if (test.Relu)
            x = Reference.Map(x, Reference.Relu);
        if (test.Planar)
            y = Layouts.ToCells(y, test.Outputs);
        double[] expected = test.Convolve(x, Reference.Widen(test.Weight), Reference.Widen(test.Bias));
        double[] magnitudes = test.Convolve(Reference.Abs(x), Reference.Abs(Reference.Widen(test.Weight)), Reference.Abs(Reference.Widen(test.Bias)));
        Close.ToMagnitudes(expected, magnitudes, y, Tolerance.Sum(test.Window.Kernel * test.Window.Kernel * test.Channels), $"{test}");
    }

    private sealed record Case(ConvWindow Window, int Height, int Width, int Channels, int Outputs)
    {
        public bool Relu { get; init; }

        public bool Planar { get; init; }

        public float[] X { get; } = Noise.Uniform(1, Height * Width * Channels);

        public float[] Weight { get; } = Noise.Uniform(2, Outputs * Channels * Window.Kernel * Window.Kernel);

        public float[] Bias { get; } = Noise.Uniform(3, Outputs);

        public int Cells => Reference.ConvOutput(Height, Window.Kernel, Window.Stride, Window.Padding)
            * Reference.ConvOutput(Width, Window.Kernel, Window.Stride, Window.Padding);

        public double[] Convolve(double[] x, double[] weight, double[] bias) =>
            Reference.Conv2d(x, Height, Width, Channels, Window.Kernel, Window.Stride, Window.Padding, weight, bias, Outputs);

        public override string ToString() => $"{Window} over {Height} × {Width} × {Channels} to {Outputs}, relu {Relu}, planar {Planar}";
    }
}
