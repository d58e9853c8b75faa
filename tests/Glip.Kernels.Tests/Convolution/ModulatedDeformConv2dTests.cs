using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class ModulatedDeformConv2dTests
{
    [Theory]
    [EachIsa]
    public void ForwardAgreesAtEveryEdge(SimdIsa isa)
    {
        foreach (int stride in (int[])[1, 2])
        {
            foreach ((int height, int width) in ((int, int)[])[(1, 1), (1, 7), (6, 1), (2, 2), (5, 8), (11, 19)])
            {
                Check(isa, new Case(stride, height, width, 5, 3, 1.5f));
                Check(isa, new Case(stride, height, width, 33, 17, 6f));
            }

            // Passes of k that end within a tap.
            Check(isa, new Case(stride, 6, 5, 61, 2, 1f));
        }
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 2).ToArbitrary(), Gen.Choose(1, 13).Two().ToArbitrary(), Gen.Choose(1, 40).Two().ToArbitrary(),
            (stride, size, channels) => Check(isa, new Case(stride, size.Item1, size.Item2, channels.Item1, channels.Item2, 3f)))
            .Check(Properties.Cases(15));

    [Theory]
    [EachIsa]
    public void ZeroOffsetsAndFullMasksAreAnOrdinaryConvolution(SimdIsa isa)
    {
        foreach (int stride in (int[])[1, 2])
        {
            var test = new Case(stride, 7, 10, 19, 6, 0f);
            Array.Fill(test.Masks, 1f);
            float[] weight = Conv2d.ToChannelsLast(test.Weight, 6, 19, 9);
            float[] ordinary = KernelProbe.RunOne(isa, (context, buffers) => Conv2d.Forward(
                context, buffers.In(test.X), 7, 10, 19, new ConvWindow(3, stride, 1), PackedMatrix.FromRows(context, weight, 6, 171, test.Bias), buffers.Out(test.Cells * 6)));
            Close.Bits(ordinary, Run(isa, test), $"stride {stride}");
        }
    }

    [Theory]
    [EachIsa]
    public void LongerBuffersAreReadAsFlatMemory(SimdIsa isa)
    {
        // DyConv hands a finer level's maps to a coarser level's convolution: only the first 18·H'W' and 9·H'W' floats count.
        var test = new Case(1, 4, 5, 8, 6, 2f);
        var longer = new Case(1, 4, 5, 8, 6, 2f)
        {
            Offsets = [.. test.Offsets, .. Enumerable.Repeat(float.NaN, 500)],
            Masks = [.. test.Masks, .. Enumerable.Repeat(float.NaN, 250)],
        };
        Close.Bits(Run(isa, test), Run(isa, longer), "longer maps");
    }

    [Theory]
    [EachIsa]
    public void SamplesFadeToZeroAtTheBorder(SimdIsa isa)
    {
        // A map of ones, one tap: the result is the part of the sample that lies on the map.
        const int Height = 3, Width = 4;
        const float Edge = 1f / 1024;
        (float Position, float Value)[] rows = [(-1, 0), (-1 + Edge, Edge), (-0.25f, 0.75f), (0, 1), (2, 1), (2.25f, 0.75f), (3 - Edge, Edge), (3, 0), (-1.5f, 0), (7, 0)];
        (float Position, float Value)[] columns = [.. rows.Select(r => (r.Position > 1 ? r.Position + 1 : r.Position, r.Value))];
        foreach ((float y, float inRow) in rows)
        {
            foreach ((float x, float inColumn) in columns)
            {
                var test = new Case(1, Height, Width, 1, 1, 0f);
                Array.Fill(test.X, 1f);
                Array.Clear(test.Weight);
                Array.Clear(test.Bias);
                Array.Fill(test.Masks, 1f);
                test.Weight[4] = 1;

                // The middle tap of output (1, 2) reads (1, 2) plus its offsets.
                test.Offsets[(8 * test.Cells) + 6] = y - 1;
                test.Offsets[(9 * test.Cells) + 6] = x - 2;
                Assert.Equal(inRow * inColumn, Run(isa, test)[6]);
            }
        }
    }

    [Theory]
    [EachIsa]
    public void OffsetsOutOfThisWorldContributeNothing(SimdIsa isa)
    {
        foreach (float strange in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, float.MinValue, 1e10f, -3e9f])
        {
            foreach (int plane in (int[])[0, 1])
            {
                var test = new Case(1, 5, 6, 18, 4, 1f);
                for (int tap = 0; tap < 9; tap++)
                    test.Offsets.AsSpan(((2 * tap) + plane) * test.Cells, test.Cells).Fill(strange);
                float[] y = Run(isa, test);
                for (int i = 0; i < y.Length; i++)
                    Assert.Equal(test.Bias[i % 4], y[i]);
            }
        }
    }

    [Theory]
    [EachIsa]
    public void MomentsAreThoseOfTheResult(SimdIsa isa)
    {
        foreach ((int height, int width) in ((int, int)[])[(1, 1), (8, 12), (13, 16)])
        {
            var test = new Case(1, height, width, 7, 37, 1f);
            float[][] results = RunWithMoments(isa, test);
            float[] partials = KernelProbe.RunOne(isa, (context, buffers) => ChannelMoments.Compute(
                context, buffers.In(results[0]), test.Cells, 37, buffers.Out(ChannelMoments.PartialFloats(test.Cells, 37))));
            Close.Bits(partials, results[1], $"{test}");
        }
    }

    [Theory]
    [EachIsa]
    public void SeveralMapsAgreeWithEachAlone(SimdIsa isa)
    {
        // Large and small, of both kinds of blocks, one of no cells, not in the order of size; all with their own weights.
        Case[] cases =
        [
            new(1, 31, 27, 11, 37, 2f), new(2, 13, 10, 11, 37, 2f), new(1, 0, 0, 11, 37, 2f), new(1, 5, 4, 11, 37, 2f), new(2, 1, 1, 11, 37, 2f),
        ];
        float[] x = [.. cases.SelectMany(test => test.X)], offsets = [.. cases.SelectMany(test => test.Offsets)], masks = [.. cases.SelectMany(test => test.Masks)];
        var maps = new DeformableMap[cases.Length];
        int y = 0, moments = 0, read = 0, moved = 0;
        for (int i = 0; i < maps.Length; i++)
        {
            Case test = cases[i];
            maps[i] = new DeformableMap(maps.Length - 1 - i, test.Height, test.Width, test.Stride, read, 18 * moved, 9 * moved, y, moments);
            read += test.X.Length;
            moved += test.Cells;
            y += test.Cells * 37;
            moments += ChannelMoments.PartialFloats(test.Cells, 37);
        }

        float[][] together = KernelProbe.Run(isa, (context, buffers) => ModulatedDeformConv2d.ForwardAll(
            context, [.. cases.Reverse().Select(test => PackedMatrix.FromRows(context, Conv2d.ToChannelsLast(test.Weight, 37, 11, 9), 37, 99, test.Bias))], 11, maps,
            buffers.In(x), buffers.In(offsets), buffers.In(masks), buffers.Out(y), buffers.Out(moments)));
        float[][][] alone = [.. cases.Where(test => test.Cells > 0).Select(test => RunWithMoments(isa, test))];
        Close.Bits([.. alone.SelectMany(results => results[0])], together[0], "results");
        Close.Bits([.. alone.SelectMany(results => results[1])], together[1], "moments");
    }

    [Theory]
    [InlineData("mdcn_s1")]
    [InlineData("mdcn_s2")]
    [InlineData("mdcn_s2_even")]
    [InlineData("mdcn_s1_offsetmap_larger")]
    [InlineData("mdcn_s1_offsetmap_larger_1x1")]
    public void ForwardMatchesTheOriginal(string file)
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", file + ".safetensors"));
        int[] input = golden["input"].Shape, output = golden["output"].Shape, raw = golden["offset_mask_raw"].Shape;
        int channels = input[1], outputs = output[1], plane = raw[2] * raw[3], stride = file.Contains("s2") ? 2 : 1;
        float[] motion = golden["offset_mask_raw"].Float.ToArray(), masks = new float[9 * plane];
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            Elementwise.Sigmoid(TestContexts.Get(isa), motion.AsSpan(18 * plane), masks);
            var test = new Case(stride, input[2], input[3], channels, outputs, 0f)
            {
                X = Layouts.ToCells(golden["input"].Float, channels),
                Weight = golden["weight"].Float.ToArray(),
                Bias = golden["bias"].Float.ToArray(),
                Offsets = motion[..(18 * plane)],
                Masks = masks,
            };
            Close.ToLargest(
                Reference.Widen(golden["output"].Float), Layouts.ToPlanes(Run(isa, test), outputs), Tolerance.Layer, $"{file} on {isa.Name()}");
        }
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        PackedMatrix weight = PackedMatrix.FromRows(context, new float[36], 2, 18, []);
        Refused("stride", "stride 3 is neither 1 nor 2", stride: 3);
        Refused("x", "x needs 12 elements, has 11", x: 11);
        Refused("offsets", "offsets needs 108 elements, has 107", offsets: 107);
        Refused("masks", "masks needs 54 elements, has 53", masks: 53);
        Refused("y", "y needs 12 elements, has 11", y: 11);
        Refused("moments", "moments needs 4 elements, has 3", moments: 3);
        var outside = new DeformableMap(0, 2, 3, 1, 0, 0, 0, -1, 0);
        Refusal.Names("maps", $"{outside} begins before its memory", () => ModulatedDeformConv2d.ForwardAll(
            context, [weight], 2, [outside], new float[12], new float[108], new float[54], new float[12], []));

        void Refused(string argument, string message, int x = 12, int stride = 1, int offsets = 108, int masks = 54, int y = 12, int moments = 0) =>
            Refusal.Names(argument, message, () => ModulatedDeformConv2d.Forward(
                context, new float[x], 2, 3, 2, stride, new float[offsets], new float[masks], weight, new float[y], new float[moments]));
    }

    private static float[] Run(SimdIsa isa, Case test) => RunWithMoments(isa, test)[0];

    private static float[][] RunWithMoments(SimdIsa isa, Case test)
    {
        float[] weight = Conv2d.ToChannelsLast(test.Weight, test.Outputs, test.Channels, 9);
        return KernelProbe.Run(isa, (context, buffers) => ModulatedDeformConv2d.Forward(
            context, buffers.In(test.X), test.Height, test.Width, test.Channels, test.Stride, buffers.In(test.Offsets), buffers.In(test.Masks),
            PackedMatrix.FromRows(context, weight, test.Outputs, 9 * test.Channels, test.Bias), buffers.Out(test.Cells * test.Outputs),
            buffers.Out(ChannelMoments.PartialFloats(test.Cells, test.Outputs))));
    }

    private static void Check(SimdIsa isa, Case test)
    {
        double[] expected = Reference.ModulatedDeformConv2d(
            Reference.Widen(test.X), test.Height, test.Width, test.Channels, test.Stride, Reference.Widen(test.Offsets), Reference.Widen(test.Masks),
            Reference.Widen(test.Weight), Reference.Widen(test.Bias), test.Outputs);

        // Positions round too, by a unit of the map's side, and the map's slope (up to 2 a cell) turns that into values. |x| and masks are at most 1.
        double tolerance = Tolerance.Sum(9 * test.Channels) + (4 * (test.Height + test.Width + 8) * Tolerance.Unit);
        var allowed = new double[expected.Length];
        for (int i = 0; i < allowed.Length; i++)
        {
            int o = i % test.Outputs;
            allowed[i] = tolerance * (Math.Abs(test.Bias[o]) + test.Weight.AsSpan(o * 9 * test.Channels, 9 * test.Channels).ToArray().Sum(w => Math.Abs(w)));
        }

        Close.Within(expected, Run(isa, test), allowed, $"{test}");
    }

    private sealed record Case(int Stride, int Height, int Width, int Channels, int Outputs, float Reach)
    {
        public int Cells => Reference.ConvOutput(Height, 3, Stride, 1) * Reference.ConvOutput(Width, 3, Stride, 1);

        public float[] X { get; init; } = Noise.Uniform(1, Height * Width * Channels);

        public float[] Weight { get; init; } = Noise.Uniform(2, Outputs * Channels * 9);

        public float[] Bias { get; init; } = Noise.Uniform(3, Outputs);

        public float[] Offsets { get; init; } =
            Noise.Uniform(4, 18 * Reference.ConvOutput(Height, 3, Stride, 1) * Reference.ConvOutput(Width, 3, Stride, 1), Reach);

        public float[] Masks { get; init; } =
            Noise.Uniform(5, 9 * Reference.ConvOutput(Height, 3, Stride, 1) * Reference.ConvOutput(Width, 3, Stride, 1), 0.5f, 0.5f);

        public override string ToString() => $"{Height} × {Width} × {Channels} to {Outputs}, stride {Stride}, offsets up to {Reach}";
    }
}
