using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class ResizeTests
{
    private static readonly (int Height, int Width, int OutputHeight, int OutputWidth)[] s_sizes =
        [(1, 1, 1, 1), (1, 1, 3, 4), (1, 5, 2, 9), (4, 1, 7, 1), (2, 3, 3, 5), (3, 5, 6, 9), (7, 13, 13, 25), (10, 12, 20, 24), (8, 9, 1, 1), (9, 7, 4, 5)];

    [Theory]
    [EachIsa]
    public void BilinearAgrees(SimdIsa isa)
    {
        foreach ((int height, int width, int outputHeight, int outputWidth) in s_sizes)
        {
            foreach (int channels in (int[])[1, 15, 16, 33])
                CheckBilinear(isa, height, width, outputHeight, outputWidth, channels);
        }
    }

    [Theory]
    [EachIsa]
    public void BilinearAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 12).Two().ToArbitrary(), Gen.Choose(1, 25).Two().ToArbitrary(), Gen.Choose(1, 140).ToArbitrary(),
            (from, to, channels) => CheckBilinear(isa, from.Item1, from.Item2, to.Item1, to.Item2, channels))
            .Check(Properties.Cases(20));

    [Theory]
    [EachIsa]
    public void BilinearKeepsCornersAndConstants(SimdIsa isa)
    {
        float[] x = Noise.Uniform(1, 5 * 7 * 3);
        float[] y = KernelProbe.RunOne(isa, (context, buffers) => Enlarge(context, buffers.In(x), 5, 7, 3, buffers.Out(11 * 16 * 3), 11, 16));
        Assert.Equal(x[..3], y[..3]);
        Assert.Equal(x[(6 * 3)..(7 * 3)], y[(15 * 3)..(16 * 3)]);
        double[] corner = Reference.Widen(x.AsSpan(34 * 3));
        Close.ToLargest(corner, y.AsSpan(175 * 3), 16 * Tolerance.Unit, "last corner");

        Array.Fill(x, 0.3f);
        y = KernelProbe.RunOne(isa, (context, buffers) => Enlarge(context, buffers.In(x), 5, 7, 3, buffers.Out(11 * 16 * 3), 11, 16));
        Assert.All(y, value => Assert.Equal(0.3f, value, 3 * 0.3f * (float)Tolerance.Unit));
    }

    [Theory]
    [EachIsa]
    public void NearestAgreesExactly(SimdIsa isa)
    {
        foreach ((int height, int width, int outputHeight, int outputWidth) in s_sizes)
        {
            foreach (int channels in (int[])[1, 16, 19])
                CheckNearest(isa, height, width, outputHeight, outputWidth, channels);
        }
    }

    [Theory]
    [EachIsa]
    public void NearestAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 12).Two().ToArbitrary(), Gen.Choose(0, 25).Two().ToArbitrary(), Gen.Choose(1, 40).ToArbitrary(),
            (from, to, channels) => CheckNearest(isa, from.Item1, from.Item2, to.Item1, to.Item2, channels))
            .Check(Properties.Cases(20));

    [Theory]
    [InlineData("in0", "out0_6x9", false)]
    [InlineData("in1", "out1_2x3", false)]
    [InlineData("in2", "out2_3x5", false)]
    [InlineData("in3", "out3_1x8", false)]
    [InlineData("in4", "out4_7x8", false)]
    [InlineData("nn_in0", "nn_out0_6x10", true)]
    [InlineData("nn_in1", "nn_out1_3x4", true)]
    [InlineData("nn_in2", "nn_out2_2x6", true)]
    public void ResizesMatchTheOriginal(string input, string output, bool nearest)
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", "upsample.safetensors"));
        int[] from = golden[input].Shape, to = golden[output].Shape;
        int channels = from[1], count = to[1] * to[2] * to[3];
        float[] x = Layouts.ToCells(golden[input].Float, channels);
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
            {
                if (nearest)
                    NearestResize.Add(context, buffers.In(x), from[2], from[3], channels, buffers.InOut(new float[count]), to[2], to[3]);
                else
                    Enlarge(context, buffers.In(x), from[2], from[3], channels, buffers.Out(count), to[2], to[3]);
            });
            Close.ToLargest(
                Reference.Widen(golden[output].Float), Layouts.ToPlanes(y, channels), nearest ? Tolerance.Exact : Tolerance.Bilinear(from[2], from[3]), $"{output} on {isa.Name()}");
        }
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        Refusal.NamesNull("context", () => BilinearResize.Means(null!, new float[4], 2, 2, 1, 2, 2, new float[1]));
        Refusal.Names("x", "x needs 4 elements, has 3", () => BilinearResize.Means(context, new float[3], 2, 2, 1, 2, 2, new float[1]));
        Refusal.Names("means", "means needs 2 elements, has 1", () => BilinearResize.Means(context, new float[8], 2, 2, 2, 2, 2, new float[1]));
        Refusal.Names("means", "a map of 2 × 0 cells has no means", () => BilinearResize.Means(context, new float[4], 2, 2, 1, 2, 0, new float[1]));
        Refusal.Names("x", "a map of 0 × 2 cells has nothing to resize", () => BilinearResize.Means(context, [], 0, 2, 1, 2, 2, new float[1]));
        Refusal.NamesNull("context", () => NearestResize.Add(null!, new float[4], 2, 2, 1, new float[4], 2, 2));
        Refusal.Names("x", "x needs 4 elements, has 3", () => NearestResize.Add(context, new float[3], 2, 2, 1, new float[4], 2, 2));
        Refusal.Names("y", "y needs 4 elements, has 3", () => NearestResize.Add(context, new float[4], 2, 2, 1, new float[3], 2, 2));
        Refusal.Names("x", "a map of 2 × 0 cells has nothing to resize", () => NearestResize.Add(context, [], 2, 0, 1, new float[4], 2, 2));
    }

    /// <summary>y = enlarged(x): a weighted sum whose other maps weigh nothing, and an activation that changes nothing.</summary>
    private static void Enlarge(
        KernelContext context, ReadOnlySpan<float> x, int height, int width, int channels, Span<float> y, int outputHeight, int outputWidth)
    {
        float[] own = new float[y.Length], factors = new float[3 * channels], lines = new float[4 * channels];
        Array.Fill(factors, 1f, 2 * channels, channels);
        Array.Fill(lines, 1f, 0, channels);
        Array.Fill(lines, 1f, 2 * channels, channels);
        ChannelMaps.ActivatedSum(context, own, [], x, height, width, factors, new float[channels], lines, outputHeight, outputWidth, y);
    }

    private static void CheckBilinear(SimdIsa isa, int height, int width, int outputHeight, int outputWidth, int channels)
    {
        float[] x = Noise.Uniform(1, height * width * channels);
        int outputs = outputHeight * outputWidth;
        float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
            Enlarge(context, buffers.In(x), height, width, channels, buffers.Out(outputs * channels), outputHeight, outputWidth));
        string what = $"{height} × {width} × {channels} to {outputHeight} × {outputWidth}";
        double[] expected = Reference.BilinearAlignCorners(Reference.Widen(x), height, width, channels, outputHeight, outputWidth), allowed = new double[expected.Length];
        Array.Fill(allowed, Tolerance.Bilinear(height, width));
        Close.Within(expected, y, allowed, what);

        // The means of these values: each cell's weight is a sum over the outputs, then come sums of a row's cells and of the rows.
        float[] means = KernelProbe.RunOne(isa, (context, buffers) =>
            BilinearResize.Means(context, buffers.In(x), height, width, channels, outputHeight, outputWidth, buffers.Out(channels)));
        (double[] expectedMeans, _) = Reference.Moments(expected, outputs, channels);
        var allowedMeans = new double[channels];
        Array.Fill(allowedMeans, Tolerance.Bilinear(height, width) + Tolerance.Sum(outputHeight + outputWidth) + Tolerance.Sum(height + width));
        Close.Within(expectedMeans, means, allowedMeans, what + ", means");
    }

    private static void CheckNearest(SimdIsa isa, int height, int width, int outputHeight, int outputWidth, int channels)
    {
        float[] x = Noise.Uniform(1, height * width * channels), before = Noise.Uniform(2, outputHeight * outputWidth * channels);
        float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
            NearestResize.Add(context, buffers.In(x), height, width, channels, buffers.InOut(before), outputHeight, outputWidth));
        double[] expected = Reference.AddNearest(Reference.Widen(x), height, width, channels, Reference.Widen(before), outputHeight, outputWidth);
        for (int i = 0; i < y.Length; i++)
            Assert.Equal((float)expected[i], y[i]);
    }
}
