using FsCheck;
using FsCheck.Fluent;

namespace Glip.Kernels.Tests;

public class L2NormalizeTests
{
    private const float Epsilon = 1e-12f;

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtEveryWidth(SimdIsa isa)
    {
        for (int columns = 0; columns <= 68; columns++)
            CheckForward(isa, 3, columns);
        CheckForward(isa, 5, 768);
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(Gen.Choose(1, 200).Two().ToArbitrary(), size => CheckForward(isa, size.Item1, size.Item2)).Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void ZeroRowsStayZeroAndTinyOnesAreDividedByEpsilon(SimdIsa isa)
    {
        float[] x = new float[3 * 37];
        x[37 + 5] = 1e-13f;
        x[(2 * 37) + 5] = -3;
        float[] y = Run(isa, x, 3);
        for (int i = 0; i < y.Length; i++)
        {
            float expected = i == 37 + 5 ? 0.1f : i == (2 * 37) + 5 ? -1 : 0;
            Assert.Equal(expected, y[i], 4 * (float)Tolerance.Unit);
        }
    }

    [Theory]
    [EachIsa]
    public void ResultsMayOverwriteArguments(SimdIsa isa)
    {
        float[] x = Noise.Uniform(1, 7 * 45);
        float[] inPlace = KernelProbe.RunOne(isa, (context, buffers) =>
        {
            Canary both = buffers.InOut(x);
            L2Normalize.Forward(context, both, 7, 45, Epsilon, both);
        });
        Close.Bits(Run(isa, x, 7), inPlace, "in place");
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        Refusal.NamesNull("context", () => L2Normalize.Forward(null!, new float[6], 2, 3, Epsilon, new float[6]));
        Refusal.Names("x", "x needs 6 elements, has 5", () => L2Normalize.Forward(context, new float[5], 2, 3, Epsilon, new float[6]));
        Refusal.Names("y", "y needs 6 elements, has 5", () => L2Normalize.Forward(context, new float[6], 2, 3, Epsilon, new float[5]));
    }

    private static float[] Run(SimdIsa isa, float[] x, int rows) =>
        KernelProbe.RunOne(isa, (context, buffers) => L2Normalize.Forward(context, buffers.In(x), rows, x.Length / rows, Epsilon, buffers.Out(x.Length)));

    private static void CheckForward(SimdIsa isa, int rows, int columns)
    {
        float[] x = Noise.Uniform(1, rows * columns);
        double[] expected = Reference.L2Normalize(Reference.Widen(x), rows, columns, Epsilon);
        Close.ToMagnitudes(expected, expected, Run(isa, x, rows), Tolerance.Sum(columns), $"{rows} × {columns}");
    }
}
