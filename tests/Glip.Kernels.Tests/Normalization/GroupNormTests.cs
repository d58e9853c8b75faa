using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class GroupNormTests
{
    // Around blocks of 96 rows.
    private static readonly int[] s_rows = [1, 2, 95, 96, 97, 192, 500];

    [Theory]
    [EachIsa]
    public void MomentsAgree(SimdIsa isa)
    {
        foreach (int rows in s_rows)
        {
            foreach (int channels in (int[])[1, 7, 16, 35])
            {
                // A mean of ten times the spread: one pass would lose two digits.
                float[] x = Noise.Uniform(1, rows * channels, 1, 10), partials = Moments(isa, x, rows, channels);
                (double[] means, double[] squares) = Reference.Moments(Reference.Widen(x), rows, channels);
                double[] foundMeans = new double[channels], foundSquares = new double[channels];
                ChannelMoments.Merge(partials, rows, foundMeans, foundSquares);
                for (int c = 0; c < channels; c++)
                {
                    double meanError = 11 * Tolerance.Sum(96);
                    Assert.Equal(means[c], foundMeans[c], meanError);

                    // A block whose mean is off by δ adds 96·δ² by itself and 2·96·δ·d when it is merged with others whose mean is d away; d is about 0.06.
                    Assert.Equal(squares[c], foundSquares[c], (squares[c] * Tolerance.Sum(96)) + (rows * meanError * (meanError + (rows > 96 ? 0.2 : 0))) + Tolerance.Unit);
                }
            }
        }
    }

    [Theory]
    [EachIsa]
    public void MomentsOfOneCellAreItself(SimdIsa isa)
    {
        float[] x = Noise.Uniform(1, 33), partials = Moments(isa, x, 1, 33);
        Assert.Equal(x, partials[..33]);
        Assert.All(partials[33..], squares => Assert.Equal(0, squares));
    }

    [Theory]
    [EachIsa]
    public void NormAgrees(SimdIsa isa)
    {
        foreach (int rows in s_rows)
        {
            foreach ((int channels, int groups) in ((int, int)[])[(16, 16), (32, 16), (48, 3), (7, 1), (30, 6)])
            {
                float[] x = Noise.Uniform(1, rows * channels, 1, 0.5f), gamma = Noise.Uniform(2, channels, 0.3f, 1), beta = Noise.Uniform(3, channels, 0.2f);
                double[] expected = Reference.GroupNorm(
                    Reference.Widen(x), rows, groups, Reference.Widen(gamma), Reference.Widen(beta), 0.01f);
                (float[] y, double[] magnitudes) = Normalize(isa, x, rows, groups, 0.01f, gamma, beta);
                Close.ToMagnitudes(expected, magnitudes, y, Tolerance.Norm(96), $"{rows} × {channels}, {groups} groups");
            }
        }
    }

    [Fact]
    public void NormMatchesTheOriginal()
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", "group_norm16.safetensors"));
        float[] x = Layouts.ToCells(golden["input"].Float, 32), gamma = golden["param.weight"].Float.ToArray(), beta = golden["param.bias"].Float.ToArray();
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            float[] y = Layouts.ToPlanes(Normalize(isa, x, 15, 16, 1e-5f, gamma, beta).Y, 32);
            Close.ToLargest(Reference.Widen(golden["output"].Float), y, Tolerance.Norm(30), $"group_norm16 on {isa.Name()}");
        }
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        float[] six = new float[6], twelve = new float[12];
        Refusal.NamesNull("context", () => ChannelMoments.Compute(null!, six, 1, 6, twelve));
        Refusal.Names("x", "x needs 6 elements, has 5", () => ChannelMoments.Compute(context, new float[5], 1, 6, twelve));
        Refusal.Names("partials", "partials needs 12 elements, has 11", () => ChannelMoments.Compute(context, six, 1, 6, new float[11]));
        Refusal.Names("groups", "6 channels do not divide into 4 groups", () => GroupNorm.Affine(twelve, 1, 4, 1e-5f, six, six, six, six));
        Refusal.Names("groups", "6 channels do not divide into 0 groups", () => GroupNorm.Affine(twelve, 1, 0, 1e-5f, six, six, six, six));
        Refusal.Names("moments", "moments needs 12 elements, has 6", () => GroupNorm.Affine(six, 1, 2, 1e-5f, six, six, six, six));
        Refusal.Names("beta", "beta needs 6 elements, has 5", () => GroupNorm.Affine(twelve, 1, 2, 1e-5f, six, new float[5], six, six));
        Refusal.Names("scale", "scale needs 6 elements, has 5", () => GroupNorm.Affine(twelve, 1, 2, 1e-5f, six, six, new float[5], six));
        Refusal.Names("shift", "shift needs 6 elements, has 5", () => GroupNorm.Affine(twelve, 1, 2, 1e-5f, six, six, six, new float[5]));
        Refusal.Names("means", "means needs 6 elements, has 5", () => GroupNorm.Affine(twelve, 1, 2, 1e-5f, six, six, six, six, new float[5]));
        Assert.Throws<OverflowException>(() => ChannelMoments.PartialFloats(int.MaxValue - 96, 1000));
    }

    private static float[] Moments(SimdIsa isa, float[] x, int rows, int channels) => KernelProbe.RunOne(isa, (context, buffers) =>
        ChannelMoments.Compute(context, buffers.In(x), rows, channels, buffers.Out(ChannelMoments.PartialFloats(rows, channels))));

    /// <summary>The norm, and |x·scale| + |shift|: what a factor and a summand lose where the mean is large against the spread.</summary>
    private static (float[] Y, double[] Magnitudes) Normalize(SimdIsa isa, float[] x, int rows, int groups, float eps, float[] gamma, float[] beta)
    {
        int channels = gamma.Length;
        float[] scale = new float[channels], shift = new float[channels], means = new float[channels], y = new float[x.Length];
        var magnitudes = new double[x.Length];
        GroupNorm.Affine(Moments(isa, x, rows, channels), rows, groups, eps, gamma, beta, scale, shift, means);
        Close.ToLargest(Reference.Moments(Reference.Widen(x), rows, channels).Means, means, Tolerance.Sum(96), $"means of {rows} × {channels}");
        for (int i = 0; i < y.Length; i++)
        {
            y[i] = (x[i] * scale[i % channels]) + shift[i % channels];
            magnitudes[i] = Math.Abs((double)x[i] * scale[i % channels]) + Math.Abs(shift[i % channels]);
        }

        return (y, magnitudes);
    }
}
