namespace Glip.Kernels.Tests;

public class ElementwiseTests
{
    private delegate void Function(KernelContext context, ReadOnlySpan<float> x, Span<float> y);

    private static readonly (string Name, Function Kernel, Func<double, double> Formula, Func<double, double> Allowed)[] s_functions =
    [
        ("gelu", Elementwise.Gelu, Reference.Gelu, x => Math.Abs(Reference.Gelu(x)) * Tolerance.Gelu(x)),
        ("sigmoid", Elementwise.Sigmoid, Reference.Sigmoid, x => 2 * Tolerance.SigmoidUlp * Tolerance.Unit * Reference.Sigmoid(x)),
        ("hard sigmoid", Elementwise.HardSigmoid, Reference.HardSigmoid, _ => Tolerance.HardSigmoid),
        ("relu", Elementwise.Relu, Reference.Relu, _ => Tolerance.Exact),
    ];

    [Fact]
    public void FunctionsAgreeAtEveryLength()
    {
        // Around vectors, two vectors and parts of 16384.
        foreach (int length in Enumerable.Range(0, 68).Concat([16383, 16385]))
        {
            float[] x = Noise.Uniform(length, length, 9);
            double[] wide = Reference.Widen(x);
            foreach (var function in s_functions)
            {
                double[] expected = Reference.Map(wide, function.Formula), allowed = Reference.Map(wide, function.Allowed);
                foreach (SimdIsa isa in SimdIsas.Available)
                {
                    float[] y = KernelProbe.RunOne(isa, (context, buffers) => function.Kernel(context, buffers.In(x), buffers.Out(length)));
                    Close.Within(expected, y, allowed, $"{function.Name} of {length} on {isa.Name()}");
                }
            }
        }
    }

    [Theory]
    [EachIsa]
    public void ResultsMayOverwriteArguments(SimdIsa isa)
    {
        float[] x = Noise.Uniform(1, 17011, 5);
        foreach (var function in s_functions)
        {
            float[] apart = KernelProbe.RunOne(isa, (context, buffers) => function.Kernel(context, buffers.In(x), buffers.Out(x.Length)));
            float[] inPlace = KernelProbe.RunOne(isa, (context, buffers) =>
            {
                Canary both = buffers.InOut(x);
                function.Kernel(context, both, both);
            });
            Close.Bits(apart, inPlace, function.Name);
        }
    }

    [Theory]
    [EachIsa]
    public void ExtremesGiveLimits(SimdIsa isa)
    {
        // Repeated, so that whole vectors and the remainder see each.
        float[] extremes = [float.MinValue, -1e20f, -1e5f, -50, -0f, 0, 50, 1e5f, 1e20f, float.MaxValue, float.PositiveInfinity];
        float[] x = [.. Enumerable.Repeat(extremes, 5).SelectMany(e => e)];
        foreach (var function in s_functions)
        {
            float[] y = KernelProbe.RunOne(isa, (context, buffers) => function.Kernel(context, buffers.In(x), buffers.Out(x.Length)));
            for (int i = 0; i < x.Length; i++)
            {
                double expected = function.Name switch
                {
                    "gelu" or "relu" => Math.Max(x[i], 0),
                    "sigmoid" => Reference.Sigmoid(x[i]),
                    _ => Reference.HardSigmoid(x[i]),
                };
                Assert.True(
                    y[i] == (float)expected || Math.Abs(y[i] - expected) <= Tolerance.Underflow, $"{function.Name}({x[i]:R}) is {y[i]:R}, expected {expected:R}");
            }
        }
    }

    [Theory]
    [EachIsa]
    public void NegativeInfinityIsZeroForAllButGelu(SimdIsa isa)
    {
        // GELU there is −∞ · 0.
        float[] x = new float[37];
        Array.Fill(x, float.NegativeInfinity);
        foreach (var function in s_functions[1..])
        {
            float[] y = KernelProbe.RunOne(isa, (context, buffers) => function.Kernel(context, buffers.In(x), buffers.Out(x.Length)));
            Assert.All(y, value => Assert.InRange(value, 0, (float)Tolerance.Underflow));
        }
    }

    [Theory]
    [EachIsa]
    public void GeluMatchesTheOriginal(SimdIsa isa)
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", "gelu_erf.safetensors"));
        float[] x = golden["input"].Float.ToArray();
        float[] y = KernelProbe.RunOne(isa, (context, buffers) => Elementwise.Gelu(context, buffers.In(x), buffers.Out(x.Length)));

        // The original adds 1 to erf, which rounds by half a unit, before the product with x/2.
        double[] allowed = Reference.Map(Reference.Widen(x), value => (Math.Abs(Reference.Gelu(value)) * Tolerance.Gelu(value)) + (2 * Tolerance.Unit * Math.Abs(value)));
        Close.Within(Reference.Widen(golden["output"].Float), y, allowed, "gelu_erf");
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        foreach (var function in s_functions)
        {
            Refusal.NamesNull("context", () => function.Kernel(null!, new float[2], new float[2]));
            Refusal.Names("y", "y needs 3 elements, has 2", () => function.Kernel(TestContexts.Get(SimdIsas.Best), new float[3], new float[2]));
        }
    }
}
