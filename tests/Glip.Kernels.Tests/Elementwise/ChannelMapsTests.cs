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
        // Around blocks of 36 rows, which small maps have.
        foreach ((int height, int width) in ((int, int)[])[(0, 3), (1, 1), (5, 7), (4, 9), (1, 37), (12, 8), (97, 1)])
        {
            foreach (int channels in (int[])[1, 15, 16, 17, 35])
            {
                foreach ((bool finer, bool coarser) in ((bool, bool)[])[(true, true), (true, false), (false, true), (false, false)])
                    CheckSum(isa, new Case(height, width, channels), finer, coarser);
            }
        }
    }

    [Theory]
    [EachIsa]
    public void WeightedSumAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 30).ToArbitrary(), Gen.Choose(1, 30).ToArbitrary(), Gen.Choose(1, 70).ToArbitrary(),
            (height, width, channels) => CheckSum(isa, new Case(height, width, channels), finer: true, coarser: true))
            .Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void WeightedSumMayOverwriteAMap(SimdIsa isa)
    {
        var test = new Case(10, 10, 37);
        float[][] apart = RunSum(isa, test, true, true);
        for (int which = 0; which < 2; which++)
        {
            float[][] over = KernelProbe.Run(isa, (context, buffers) =>
            {
                Canary[] maps = [.. ((float[][])[test.Own, test.Finer]).Select((map, i) => i == which ? buffers.InOut(map) : buffers.In(map))];
                ChannelMaps.WeightedSum(
                    context, maps[0], maps[1], buffers.In(test.Coarser), test.CoarserHeight, test.CoarserWidth, test.Factors, test.Shift, test.Height, test.Width, maps[which],
                    buffers.Out(ChannelMoments.PartialFloats(100, 37)));
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
        Sum("own", "own needs 6 elements, has 5", own: 5);
        Sum("finer", "finer needs 6 elements, has 5", finer: 5);
        Sum("coarser", "coarser needs 3 elements, has 2", coarser: 2);
        Sum("factors", "factors needs 9 elements, has 8", factors: 8);
        Sum("y", "y needs 6 elements, has 5", y: 5);
        Sum("moments", "moments needs 6 elements, has 5", moments: 5);

        KernelContext context = TestContexts.Get(SimdIsas.Best);
        Refusal.NamesNull("context", () => ChannelMaps.DynamicRelu(null!, new float[6], 2, new float[12], new float[6]));
        Refusal.Names("x", "x needs 6 elements, has 5", () => ChannelMaps.DynamicRelu(context, new float[5], 2, new float[12], new float[6]));
        Refusal.Names("y", "y needs 6 elements, has 5", () => ChannelMaps.DynamicRelu(context, new float[6], 2, new float[12], new float[5]));
        Refusal.Names("coefficients", "13 values are not four for each channel", () => ChannelMaps.DynamicRelu(context, new float[6], 2, new float[13], new float[6]));

        static void Sum(
            string argument, string message, int own = 6, int finer = 6, int coarser = 0, int factors = 9, int y = 6, int moments = 6, bool withContext = true)
        {
            KernelContext context = withContext ? TestContexts.Get(SimdIsas.Best) : null!;
            Refusal.Names(argument, message, () => ChannelMaps.WeightedSum(
                context, new float[own], new float[finer], new float[coarser], 1, 1, new float[factors], new float[3], 1, 2, new float[y], new float[moments]));
        }
    }

    private static float[][] RunSum(SimdIsa isa, Case test, bool finer, bool coarser) => KernelProbe.Run(isa, (context, buffers) => ChannelMaps.WeightedSum(
        context, buffers.In(test.Own), finer ? buffers.In(test.Finer) : default(Span<float>), coarser ? buffers.In(test.Coarser) : default(Span<float>), test.CoarserHeight,
        test.CoarserWidth, buffers.In(test.Factors), buffers.In(test.Shift), test.Height, test.Width, buffers.Out(test.Own.Length),
        buffers.Out(ChannelMoments.PartialFloats(test.Height * test.Width, test.Channels))));

    private static void CheckSum(SimdIsa isa, Case test, bool finer, bool coarser)
    {
        float[][] results = RunSum(isa, test, finer, coarser);
        List<(double[] Map, int Row)> branches = [(Reference.Widen(test.Own), 0)];
        if (finer)
            branches.Add((Reference.Widen(test.Finer), 1));
        if (coarser)
        {
            double[] small = Reference.Widen(test.Coarser);
            branches.Add((Reference.BilinearAlignCorners(small, test.CoarserHeight, test.CoarserWidth, test.Channels, test.Height, test.Width), 2));
        }

        double[] expected = new double[test.Own.Length], allowed = new double[expected.Length];
        for (int i = 0; i < expected.Length; i++)
        {
            int channel = i % test.Channels;
            expected[i] = test.Shift[channel];
            double magnitude = Math.Abs(expected[i]);
            foreach ((double[] map, int row) in branches)
            {
                double factor = test.Factors[(row * test.Channels) + channel];
                expected[i] += map[i] * factor;
                magnitude += Math.Abs(map[i] * factor);
            }

            allowed[i] = (magnitude * Tolerance.Sum(3)) + (coarser ? Tolerance.Bilinear(test.CoarserHeight, test.CoarserWidth) : 0);
        }

        Close.Within(expected, results[0], allowed, $"{test.Height} × {test.Width} × {test.Channels}, finer {finer}, coarser {coarser}");
        float[] partials = KernelProbe.RunOne(isa, (context, buffers) => ChannelMoments.Compute(
            context, buffers.In(results[0]), test.Height * test.Width, test.Channels, buffers.Out(results[1].Length)));
        Close.Bits(partials, results[1], $"moments of {test.Height} × {test.Width} × {test.Channels}");
    }

    private sealed record Case(int Height, int Width, int Channels)
    {
        public int CoarserHeight => (Height + 1) / 2;

        public int CoarserWidth => (Width + 1) / 2;

        public float[] Own { get; } = Noise.Uniform(1, Height * Width * Channels);

        public float[] Finer { get; } = Noise.Uniform(2, Height * Width * Channels);

        public float[] Coarser { get; } = Noise.Uniform(3, (Height + 1) / 2 * ((Width + 1) / 2) * Channels);

        public float[] Factors { get; } = Noise.Uniform(4, 3 * Channels);

        public float[] Shift { get; } = Noise.Uniform(5, Channels);
    }
}
