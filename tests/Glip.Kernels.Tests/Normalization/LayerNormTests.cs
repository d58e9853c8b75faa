using FsCheck;
using FsCheck.Fluent;

namespace Glip.Kernels.Tests;

public class LayerNormTests
{
    [Theory]
    [EachIsa]
    public void ForwardAgreesAtEveryWidth(SimdIsa isa)
    {
        for (int channels = 1; channels <= 68; channels++)
            CheckForward(isa, 3, channels);

        // Parts of 256 rows.
        foreach (int rows in (int[])[0, 1, 255, 256, 257, 600])
            CheckForward(isa, rows, 19);
        CheckForward(isa, 2, 1536);
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(Gen.Choose(1, 300).Two().ToArbitrary(), size => CheckForward(isa, size.Item1, size.Item2)).Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void TheResidualIsAddedFirstAndResultsAreClamped(SimdIsa isa)
    {
        const int Rows = 5, Channels = 43;
        var test = new Case(Rows, Channels);
        float[] residual = Noise.Uniform(9, Rows * Channels);
        double[] expected = Reference.Map(test.Expected(Reference.Add(Reference.Widen(test.X), Reference.Widen(residual))), y => Math.Clamp(y, -0.9, 0.9));
        float[] apart = KernelProbe.RunOne(isa, (context, buffers) => LayerNorm.Forward(
            context, buffers.In(test.X), Rows, buffers.In(test.Gamma), buffers.In(test.Beta), 1e-5f, buffers.Out(Rows * Channels), buffers.In(residual), 0.9f));
        Close.ToLargest(expected, apart, 3 * Tolerance.Norm(Channels), "with residual");
        Assert.Contains(0.9f, apart);

        // In place of the input, and of the residual.
        float[] overX = KernelProbe.RunOne(isa, (context, buffers) =>
        {
            Canary both = buffers.InOut(test.X);
            LayerNorm.Forward(context, both, Rows, test.Gamma, test.Beta, 1e-5f, both, buffers.In(residual), 0.9f);
        });
        float[] overResidual = KernelProbe.RunOne(isa, (context, buffers) =>
        {
            Canary both = buffers.InOut(residual);
            LayerNorm.Forward(context, buffers.In(test.X), Rows, test.Gamma, test.Beta, 1e-5f, both, both, 0.9f);
        });
        Close.Bits(apart, overX, "over x");
        Close.Bits(apart, overResidual, "over the residual");
    }

    [Theory]
    [EachIsa]
    public void ConstantRowsGiveBeta(SimdIsa isa)
    {
        // 0.75 sums exactly, so nothing but beta is left, for BERT's tiny epsilon too.
        var test = new Case(4, 37);
        Array.Fill(test.X, 0.75f);
        foreach (float eps in (float[])[1e-5f, 1e-12f])
        {
            float[] y = Run(isa, test, eps);
            for (int i = 0; i < y.Length; i++)
                Assert.Equal(test.Beta[i % 37], y[i]);
        }
    }

    [Theory]
    [EachIsa]
    public void NaNStaysInItsRow(SimdIsa isa)
    {
        var test = new Case(5, 21);
        test.X[(2 * 21) + 20] = float.NaN;
        float[] y = Run(isa, test, 1e-5f);
        for (int i = 0; i < y.Length; i++)
            Assert.Equal(i / 21 == 2, float.IsNaN(y[i]));
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        float[] three = new float[3], six = new float[6], five = new float[5];
        Refusal.NamesNull("context", () => LayerNorm.Forward(null!, six, 2, three, three, 1e-5f, six));
        Refusal.Names("x", "x needs 6 elements, has 5", () => LayerNorm.Forward(context, five, 2, three, three, 1e-5f, six));
        Refusal.Names("y", "y needs 6 elements, has 5", () => LayerNorm.Forward(context, six, 2, three, three, 1e-5f, five));
        Refusal.Names("beta", "beta needs 3 elements, has 2", () => LayerNorm.Forward(context, six, 2, three, new float[2], 1e-5f, six));
        Refusal.Names("residual", "residual needs 6 elements, has 5", () => LayerNorm.Forward(context, six, 2, three, three, 1e-5f, six, five));
        Refusal.Names("x", "x needs -3 elements, has 6", () => LayerNorm.Forward(context, six, -1, three, three, 1e-5f, six));
    }

    private static float[] Run(SimdIsa isa, Case test, float eps) => KernelProbe.RunOne(isa, (context, buffers) => LayerNorm.Forward(
        context, buffers.In(test.X), test.Rows, buffers.In(test.Gamma), buffers.In(test.Beta), eps, buffers.Out(test.Rows * test.Channels)));

    private static void CheckForward(SimdIsa isa, int rows, int channels)
    {
        // A mean of about the spread. Two values may lie close together: epsilon 0.01 keeps the norm from magnifying their rounding.
        var test = new Case(rows, channels);
        Close.ToLargest(test.Expected(Reference.Widen(test.X), 0.01f), Run(isa, test, 0.01f), 2 * Tolerance.Norm(channels), $"{test}");
    }

    private sealed record Case(int Rows, int Channels)
    {
        public float[] X { get; } = Noise.Uniform(1, Rows * Channels, 2, 1);

        public float[] Gamma { get; } = Noise.Uniform(2, Channels, 0.3f, 1);

        public float[] Beta { get; } = Noise.Uniform(3, Channels, 0.2f);

        public double[] Expected(double[] x, float eps = 1e-5f) => Reference.LayerNorm(x, Rows, Reference.Widen(Gamma), Reference.Widen(Beta), eps);
    }
}
