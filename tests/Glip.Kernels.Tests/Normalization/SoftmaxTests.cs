using FsCheck;
using FsCheck.Fluent;

namespace Glip.Kernels.Tests;

public class SoftmaxTests
{
    [Theory]
    [EachIsa]
    public void ForwardAgreesAtEveryWidth(SimdIsa isa)
    {
        for (int columns = 1; columns <= 68; columns++)
            CheckForward(isa, 3, columns, 5);
        CheckForward(isa, 1, 5003, 20);
        CheckForward(isa, 0, 7, 1);
        CheckForward(isa, 7, 0, 1);
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 200).Two().ToArbitrary(), Gen.Choose(1, 60).ToArbitrary(), (size, amplitude) => CheckForward(isa, size.Item1, size.Item2, amplitude))
            .Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void LargeArgumentsDoNotOverflow(SimdIsa isa)
    {
        foreach (float level in (float[])[100, -100, 1e30f, -1e30f, float.MaxValue])
        {
            var x = new float[41];
            Array.Fill(x, level);
            Assert.All(Run(isa, x, 1), y => Assert.Equal(1f / 41, y, 4 * (float)Tolerance.Unit / 41));
        }

        // The far end of the range counts as nothing, exactly.
        float[] far = new float[40];
        Array.Fill(far, float.MinValue);
        far[17] = float.MaxValue;
        far[3] = float.NegativeInfinity;
        float[] result = Run(isa, far, 1);
        for (int i = 0; i < result.Length; i++)
            Assert.Equal(i == 17 ? 1 : 0, result[i]);
    }

    [Theory]
    [EachIsa]
    public void RowsSumToOne(SimdIsa isa)
    {
        float[] y = Run(isa, Noise.Uniform(1, 20 * 333, 30), 20);
        foreach (float[] row in y.Chunk(333))
            Assert.Equal(1, row.Sum(v => (double)v), Tolerance.Sum(333));
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        Refusal.NamesNull("context", () => Softmax.Forward(null!, new float[6], 2, 3));
        Refusal.Names("x", "x needs 6 elements, has 5", () => Softmax.Forward(TestContexts.Get(SimdIsas.Best), new float[5], 2, 3));
    }

    private static float[] Run(SimdIsa isa, float[] x, int rows) =>
        KernelProbe.RunOne(isa, (context, buffers) => Softmax.Forward(context, buffers.InOut(x), rows, x.Length / Math.Max(rows, 1)));

    private static void CheckForward(SimdIsa isa, int rows, int columns, float amplitude)
    {
        float[] x = Noise.Uniform(1, rows * columns, amplitude);
        double[] expected = Reference.Softmax(Reference.Widen(x), rows, columns);
        double[] allowed = Reference.Map(expected, y => (y * Tolerance.Softmax(columns, 2 * amplitude)) + Tolerance.Underflow);
        Close.Within(expected, Run(isa, x, rows), allowed, $"{rows} × {columns} up to {amplitude}");
    }
}
