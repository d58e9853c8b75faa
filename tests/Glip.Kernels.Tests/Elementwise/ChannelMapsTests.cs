using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class ChannelMapsTests
{
    // Around blocks of 96 rows.
    private static readonly int[] s_rows = [0, 1, 95, 96, 97, 200];

    [Theory]
    [EachIsa]
    public void WeightedSumAgrees(SimdIsa isa)
    {
        foreach (int rows in s_rows)
        {
            foreach (int channels in (int[])[1, 15, 16, 17, 35])
            {
                CheckSum(isa, rows, channels, three: true);
                CheckSum(isa, rows, channels, three: false);
            }
        }
    }

    [Theory]
    [EachIsa]
    public void WeightedSumAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(Gen.Choose(1, 250).ToArbitrary(), Gen.Choose(1, 70).ToArbitrary(), (rows, channels) => CheckSum(isa, rows, channels, three: true))
            .Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void WeightedSumMayOverwriteAMap(SimdIsa isa)
    {
        var test = new Case(100, 37);
        float[][] apart = RunSum(isa, test, true);
        for (int which = 0; which < 3; which++)
        {
            float[][] over = KernelProbe.Run(isa, (context, buffers) =>
            {
                Canary[] maps = [.. test.Maps.Select((map, i) => i == which ? buffers.InOut(map) : buffers.In(map))];
                ChannelMaps.WeightedSum(
                    context, maps[0], maps[1], maps[2], test.Factors, test.Shift, test.Rows, maps[which], buffers.Out(ChannelMoments.PartialFloats(100, 37)));
            });
            Close.Bits(apart[0], over[0], $"over map {which}");
        }
    }

    [Theory]
    [EachIsa]
    public void DynamicReluAgrees(SimdIsa isa)
    {
        foreach (int rows in s_rows)
        {
            foreach (int channels in (int[])[1, 15, 16, 17, 35])
            {
                float[] x = Noise.Uniform(1, rows * channels), coefficients = Noise.Uniform(2, 4 * channels);
                double[] expected = new double[x.Length], magnitudes = new double[x.Length];
                for (int i = 0; i < x.Length; i++)
                {
                    int c = i % channels;
                    double a1 = coefficients[c], b1 = coefficients[channels + c], a2 = coefficients[(2 * channels) + c], b2 = coefficients[(3 * channels) + c];
                    expected[i] = Math.Max((x[i] * a1) + b1, (x[i] * a2) + b2);
                    magnitudes[i] = Math.Max(Math.Abs(x[i] * a1) + Math.Abs(b1), Math.Abs(x[i] * a2) + Math.Abs(b2));
                }

                float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
                    ChannelMaps.DynamicRelu(context, buffers.In(x), rows, buffers.In(coefficients), buffers.Out(x.Length)));
                Close.ToMagnitudes(expected, magnitudes, y, Tolerance.Sum(1), $"{rows} × {channels}");

                float[] inPlace = KernelProbe.RunOne(isa, (context, buffers) =>
                {
                    Canary both = buffers.InOut(x);
                    ChannelMaps.DynamicRelu(context, both, rows, buffers.In(coefficients), both);
                });
                Close.Bits(y, inPlace, $"{rows} × {channels} in place");
            }
        }
    }

    [Fact]
    public void DynamicReluMatchesTheOriginal()
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", "dyrelu.safetensors"));
        const int Channels = 32, Rows = 35;

        // "coef" holds theta, after the hard sigmoid: slopes are 2(a1 − ½) + 1 and 2(a2 − ½), summands b − ½.
        float[] x = Layouts.ToCells(golden["input"].Float, Channels), coefficients = golden["coef"].Float.ToArray();
        for (int i = 0; i < coefficients.Length; i++)
            coefficients[i] = (i / Channels % 2 == 0 ? 2 : 1) * (coefficients[i] - 0.5f) + (i / Channels == 0 ? 1 : 0);
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            float[] y = KernelProbe.RunOne(isa, (context, buffers) => ChannelMaps.DynamicRelu(context, buffers.In(x), Rows, buffers.In(coefficients), buffers.Out(x.Length)));
            Close.ToLargest(Reference.Widen(golden["output"].Float), Layouts.ToPlanes(y, Channels), Tolerance.Layer, $"dyrelu on {isa.Name()}");
        }
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        Sum("context", "", withContext: false);
        Sum("a", "a needs 6 elements, has 5", a: 5);
        Sum("b", "b needs 6 elements, has 5", b: 5);
        Sum("c", "c needs 6 elements, has 5", c: 5);
        Sum("factors", "factors needs 9 elements, has 8", factors: 8);
        Sum("y", "y needs 6 elements, has 5", y: 5);
        Sum("moments", "moments needs 6 elements, has 5", moments: 5);

        KernelContext context = TestContexts.Get(SimdIsas.Best);
        Refusal.NamesNull("context", () => ChannelMaps.DynamicRelu(null!, new float[6], 2, new float[12], new float[6]));
        Refusal.Names("x", "x needs 6 elements, has 5", () => ChannelMaps.DynamicRelu(context, new float[5], 2, new float[12], new float[6]));
        Refusal.Names("y", "y needs 6 elements, has 5", () => ChannelMaps.DynamicRelu(context, new float[6], 2, new float[12], new float[5]));
        Refusal.Names("coefficients", "13 values are not four for each channel", () => ChannelMaps.DynamicRelu(context, new float[6], 2, new float[13], new float[6]));

        static void Sum(
            string argument, string message, int a = 6, int b = 6, int c = 0, int factors = 9, int y = 6, int moments = 6, bool withContext = true)
        {
            KernelContext context = withContext ? TestContexts.Get(SimdIsas.Best) : null!;
            Refusal.Names(argument, message, () => ChannelMaps.WeightedSum(
                context, new float[a], new float[b], new float[c], new float[factors], new float[3], 2, new float[y], new float[moments]));
        }
    }

    private static float[][] RunSum(SimdIsa isa, Case test, bool three) => KernelProbe.Run(isa, (context, buffers) => ChannelMaps.WeightedSum(
        context, buffers.In(test.Maps[0]), buffers.In(test.Maps[1]), three ? buffers.In(test.Maps[2]) : default(Span<float>), buffers.In(test.Factors),
        buffers.In(test.Shift), test.Rows, buffers.Out(test.Rows * test.Channels), buffers.Out(ChannelMoments.PartialFloats(test.Rows, test.Channels))));

    private static void CheckSum(SimdIsa isa, int rows, int channels, bool three)
    {
        var test = new Case(rows, channels);
        float[][] results = RunSum(isa, test, three);
        double[] expected = new double[rows * channels], magnitudes = new double[rows * channels];
        for (int i = 0; i < expected.Length; i++)
        {
            expected[i] = test.Shift[i % channels];
            magnitudes[i] = Math.Abs(expected[i]);
            for (int map = 0; map < (three ? 3 : 2); map++)
            {
                double term = (double)test.Maps[map][i] * test.Factors[(map * channels) + (i % channels)];
                expected[i] += term;
                magnitudes[i] += Math.Abs(term);
            }
        }

        Close.ToMagnitudes(expected, magnitudes, results[0], Tolerance.Sum(3), $"{rows} × {channels}");
        float[] partials = KernelProbe.RunOne(isa, (context, buffers) =>
            ChannelMoments.Compute(context, buffers.In(results[0]), rows, channels, buffers.Out(results[1].Length)));
        Close.Bits(partials, results[1], $"moments of {rows} × {channels}");
    }

    private sealed record Case(int Rows, int Channels)
    {
        public float[][] Maps { get; } = [Noise.Uniform(1, Rows * Channels), Noise.Uniform(2, Rows * Channels), Noise.Uniform(3, Rows * Channels)];

        public float[] Factors { get; } = Noise.Uniform(4, 3 * Channels);

        public float[] Shift { get; } = Noise.Uniform(5, Channels);
    }
}
