using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class ChannelMapsTests
{
    [Theory]
    [EachIsa]
    public void ActivatedSumAgrees(SimdIsa isa)
    {
        // Around blocks of 48 rows.
        foreach ((int height, int width) in ((int, int)[])[(0, 3), (1, 1), (5, 7), (1, 47), (6, 8), (7, 7), (97, 1)])
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
    public void ActivatedSumAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 30).ToArbitrary(), Gen.Choose(1, 30).ToArbitrary(), Gen.Choose(1, 70).ToArbitrary(),
            (height, width, channels) => CheckSum(isa, new Case(height, width, channels), finer: true, coarser: true))
            .Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void ActivatedSumMayOverwriteAMap(SimdIsa isa)
    {
        var test = new Case(10, 10, 37);
        float[] apart = RunSum(isa, test, true, true);
        for (int which = 0; which < 2; which++)
        {
            float[] over = KernelProbe.RunOne(isa, (context, buffers) =>
            {
                Canary[] maps = [.. ((float[][])[test.Own, test.Finer]).Select((map, i) => i == which ? buffers.InOut(map) : buffers.In(map))];
                ChannelMaps.ActivatedSum(
                    context, maps[0], maps[1], buffers.In(test.Coarser), test.CoarserHeight, test.CoarserWidth, test.Factors, test.Shift, test.Lines, test.Height, test.Width,
                    maps[which]);
            });
            Close.Bits(apart, over, $"over map {which}");
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
            // The sum of one map whose factor is 1.
            float[] factors = new float[3 * Channels];
            Array.Fill(factors, 1f, 0, Channels);
            float[] y = KernelProbe.RunOne(isa, (context, buffers) => ChannelMaps.ActivatedSum(
                context, buffers.In(x), [], [], 0, 0, factors, new float[Channels], buffers.In(coefficients), Rows, 1, buffers.Out(x.Length)));
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
        Sum("lines", "lines needs 12 elements, has 11", lines: 11);

        static void Sum(
            string argument, string message, int own = 6, int finer = 6, int coarser = 0, int factors = 9, int lines = 12, int y = 6, bool withContext = true)
        {
            KernelContext context = withContext ? TestContexts.Get(SimdIsas.Best) : null!;
            Refusal.Names(argument, message, () => ChannelMaps.ActivatedSum(
                context, new float[own], new float[finer], new float[coarser], 1, 1, new float[factors], new float[3], new float[lines], 1, 2, new float[y]));
        }
    }

    private static float[] RunSum(SimdIsa isa, Case test, bool finer, bool coarser) => KernelProbe.RunOne(isa, (context, buffers) => ChannelMaps.ActivatedSum(
        context, buffers.In(test.Own), finer ? buffers.In(test.Finer) : default(Span<float>), coarser ? buffers.In(test.Coarser) : default(Span<float>), test.CoarserHeight,
        test.CoarserWidth, buffers.In(test.Factors), buffers.In(test.Shift), buffers.In(test.Lines), test.Height, test.Width, buffers.Out(test.Own.Length)));

    private static void CheckSum(SimdIsa isa, Case test, bool finer, bool coarser)
    {
        float[] y = RunSum(isa, test, finer, coarser);
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
            double sum = test.Shift[channel], magnitude = Math.Abs(sum);
            foreach ((double[] map, int row) in branches)
            {
                double factor = test.Factors[(row * test.Channels) + channel];
                sum += map[i] * factor;
                magnitude += Math.Abs(map[i] * factor);
            }

            double slope = Math.Max(Math.Abs(Lines(0)), Math.Abs(Lines(2))), offset = Math.Max(Math.Abs(Lines(1)), Math.Abs(Lines(3)));
            expected[i] = Math.Max((sum * Lines(0)) + Lines(1), (sum * Lines(2)) + Lines(3));
            allowed[i] = (slope * ((magnitude * Tolerance.Sum(3)) + (coarser ? Tolerance.Bilinear(test.CoarserHeight, test.CoarserWidth) : 0))) + (offset * Tolerance.Sum(1));

            double Lines(int row) => test.Lines[(row * test.Channels) + channel];
        }

        Close.Within(expected, y, allowed, $"{test.Height} × {test.Width} × {test.Channels}, finer {finer}, coarser {coarser}");
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

        public float[] Lines { get; } = Noise.Uniform(6, 4 * Channels);
    }
}
