using FsCheck;
using FsCheck.Fluent;

namespace Glip.Kernels.Tests;

public class FeedForwardTests
{
    [Theory]
    [EachIsa]
    public void ForwardAgreesAtEveryEdge(SimdIsa isa)
    {
        foreach (int rows in (int[])[0, 1, 7, 95, 96, 97, 193])
            CheckForward(isa, rows, 12, 48);
        foreach ((int channels, int hidden) in ((int, int)[])[(1, 1), (5, 3), (16, 64), (17, 33), (40, 16), (130, 520)])
            CheckForward(isa, 13, channels, hidden);
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(Gen.Choose(1, 120).ToArbitrary(), Gen.Choose(2, 60).Two().ToArbitrary(), (rows, width) => CheckForward(isa, rows, width.Item1, width.Item2))
            .Check(Properties.Cases(10));

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        Refused("context", "", withContext: false);
        Refused("expand", "expand has depth 5, its input has 4 values", expand: (6, 5));
        Refused("reduce", "reduce has depth 7, its input has 6 values", reduce: (4, 7));
        Refused("reduce", "reduce has 5 columns, the map 4 channels", reduce: (5, 6));
        Refused("x", "x needs 8 elements, has 7", x: 7);
        Refused("beta", "beta needs 4 elements, has 3", beta: 3);

        static void Refused(
            string argument, string message, (int Columns, int Depth)? expand = null, (int Columns, int Depth)? reduce = null, int x = 8, int beta = 4, bool withContext = true)
        {
            KernelContext context = TestContexts.Get(SimdIsas.Best);
            (int hidden, int channels) = expand ?? (6, 4);
            (int columns, int depth) = reduce ?? (4, 6);
            PackedMatrix first = PackedMatrix.FromRows(context, new float[hidden * channels], hidden, channels, []);
            PackedMatrix second = PackedMatrix.FromRows(context, new float[columns * depth], columns, depth, []);
            Refusal.Names(argument, message, () => FeedForward.Forward(
                withContext ? context : null!, new float[x], 2, new float[4], new float[beta], 1e-5f, first, second));
        }
    }

    private static void CheckForward(SimdIsa isa, int rows, int channels, int hidden)
    {
        float[] x = Noise.Uniform(1, rows * channels), gamma = Noise.Uniform(2, channels, 0.3f, 1), beta = Noise.Uniform(3, channels, 0.2f);
        float[] expand = Noise.Uniform(4, hidden * channels, 1.7f / MathF.Sqrt(channels)), expandBias = Noise.Uniform(5, hidden);
        float[] reduce = Noise.Uniform(6, channels * hidden, 1.7f / MathF.Sqrt(hidden)), reduceBias = Noise.Uniform(7, channels);

        // Narrow rows may hold values close to each other, whose rounding the norm would magnify: epsilon 0.01.
        const float Epsilon = 0.01f;
        float[] y = KernelProbe.RunOne(isa, (context, buffers) => FeedForward.Forward(
            context, buffers.InOut(x), rows, buffers.In(gamma), buffers.In(beta), Epsilon, PackedMatrix.FromRows(context, expand, hidden, channels, expandBias),
            PackedMatrix.FromRows(context, reduce, channels, hidden, reduceBias)));
        double[] expected = Reference.FeedForward(
            Reference.Widen(x), rows, Reference.Widen(gamma), Reference.Widen(beta), Epsilon, Reference.Widen(expand), Reference.Widen(expandBias), Reference.Widen(reduce),
            Reference.Widen(reduceBias));
        Close.ToLargest(expected, y, Tolerance.Layer, $"{rows} × {channels}, hidden {hidden}");
    }
}
