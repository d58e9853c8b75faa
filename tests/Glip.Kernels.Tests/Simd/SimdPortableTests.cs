using System.Runtime.Intrinsics;

namespace Glip.Kernels.Tests;

/// <summary>The table of <see cref="SimdIsa.Portable"/>, lane by lane against plain arithmetic. Every leg of CI runs this on other machine instructions.</summary>
public unsafe class SimdPortableTests
{
    private const int Lanes = 16;

    /// <summary>Zeros of both signs, subnormals, the ends of the range, and numbers whose products and sums must be rounded.</summary>
    private static readonly float[] s_values =
    [
        0f, -0f, float.Epsilon, -float.Epsilon, 1e-40f, 1.17549435e-38f, -1.17549435e-38f, 3.3e-20f, 1f, -1f, MathF.BitIncrement(1f), MathF.BitDecrement(1f), 1f / 3, -0.7f,
        3.14159274f, 16777215f, -16777217f, 8388609f, 1e19f, -2.5e38f, float.MaxValue, float.MinValue, float.PositiveInfinity, float.NegativeInfinity,
        .. Noise.Uniform(3, 40, 2f), .. Noise.Uniform(4, 20, 1e-3f), .. Noise.Uniform(5, 20, 1e6f),
    ];

    [Fact]
    public void It_has_16_lanes_on_every_processor()
    {
        Assert.Equal(Lanes, SimdPortable.Width);
        Assert.Equal(new PanelLayout(32, 32), GemmTable.Layout(SimdIsa.Portable));
        Assert.True(SimdIsas.IsSupported(SimdIsa.Portable));
        Assert.NotEqual(SimdIsa.Portable, SimdIsas.Best);
    }

    [Fact]
    public void Functions_of_one_number_round_once()
    {
        float[] all = Padded(s_values);
        for (int i = 0; i < all.Length; i += Lanes)
        {
            float[] x = all[i..(i + Lanes)];
            Same(x, MathF.Abs, SimdPortable.Abs);
            Same([.. x.Select(MathF.Abs)], MathF.Sqrt, SimdPortable.Sqrt);
        }
    }

    [Fact]
    public void Functions_of_two_numbers_round_once()
    {
        foreach (float a in s_values)
        {
            float[] all = Padded(s_values);
            for (int i = 0; i < all.Length; i += Lanes)
            {
                float[] b = all[i..(i + Lanes)];
                Same(b, y => a + y, y => SimdPortable.Add(Vector512.Create(a), y));
                Same(b, y => a - y, y => SimdPortable.Subtract(Vector512.Create(a), y));
                Same(b, y => a * y, y => SimdPortable.Multiply(Vector512.Create(a), y));
                Same(b, y => a / y, y => SimdPortable.Divide(Vector512.Create(a), y));

                // Of two zeros the second.
                Same(b, y => a < y ? a : y, y => SimdPortable.Min(Vector512.Create(a), y));
                Same(b, y => a > y ? a : y, y => SimdPortable.Max(Vector512.Create(a), y));
                Same(b, y => a < y ? 2f : y, y => SimdPortable.SelectLess(Vector512.Create(a), y, Vector512.Create(2f), y));
            }
        }
    }

    [Fact]
    public void Multiply_adds_are_rounded_twice()
    {
        int fusedDiffer = 0;
        foreach (float a in s_values)
        {
            float[] all = Padded(s_values);
            for (int i = 0; i < all.Length; i += Lanes)
            {
                float[] b = all[i..(i + Lanes)];

                // Sums that cancel most of the product show its lost digits.
                foreach (float near in (float[])[-1f, -MathF.BitIncrement(1f), 0.3f])
                {
                    Same(b, y => (float)(a * y) + (float)((float)(a * y) * near), y => SimdPortable.MultiplyAdd(Vector512.Create(a), y, Vector512.Create(a) * y * near));
                    fusedDiffer += b.Count(y => MathF.FusedMultiplyAdd(a, y, a * y * near) != (a * y) + (a * y * near) && float.IsFinite(a * y));
                }
            }
        }

        Assert.True(fusedDiffer > 1000, $"only {fusedDiffer} cases tell fused from rounded twice");
    }

    [Fact]
    public void Powers_of_two_are_exact()
    {
        float[] all = Padded([.. Enumerable.Range(-126, 254).Select(n => (float)n)]);
        for (int i = 0; i < all.Length; i += Lanes)
            Same(all[i..(i + Lanes)], n => MathF.ScaleB(1, (int)n), SimdPortable.PowerOfTwo);
    }

    /// <summary>Lane i and lane i + half as many, again and again: the order is part of the results.</summary>
    [Fact]
    public void Lanes_are_joined_in_a_fixed_tree()
    {
        int orderMatters = 0;
        for (int seed = 0; seed < 200; seed++)
        {
            float[] x = Noise.Uniform(seed, Lanes, 1000f);
            float[] sums = x, maxima = x;
            while (sums.Length > 1)
            {
                int half = sums.Length / 2;
                sums = [.. Enumerable.Range(0, half).Select(i => sums[i] + sums[i + half])];
                maxima = [.. Enumerable.Range(0, half).Select(i => maxima[i] > maxima[i + half] ? maxima[i] : maxima[i + half])];
            }

            fixed (float* lanes = x)
            {
                Equal(sums[0], SimdPortable.Sum(SimdPortable.Load(lanes)), "sum");
                Equal(maxima[0], SimdPortable.MaxAcross(SimdPortable.Load(lanes)), "largest");
            }

            float plain = 0;
            foreach (float lane in x)
                plain += lane;
            orderMatters += plain != sums[0] ? 1 : 0;
        }

        Assert.True(orderMatters > 100, $"only {orderMatters} of 200 sums tell one order from another");
    }

    [Fact]
    public void Of_zeros_the_largest_is_the_later_one()
    {
        float[] x = new float[Lanes];
        Array.Fill(x, -0f);
        x[^1] = 0f;
        fixed (float* lanes = x)
            Equal(0f, SimdPortable.MaxAcross(SimdPortable.Load(lanes)), "largest");
        (x[0], x[^1]) = (0f, -0f);
        fixed (float* lanes = x)
            Equal(-0f, SimdPortable.MaxAcross(SimdPortable.Load(lanes)), "largest");
    }

    private static float[] Padded(float[] values) => [.. values, .. new float[(Lanes - (values.Length % Lanes)) % Lanes]];

    private static void Same(float[] x, Func<float, float> expected, Func<Vector512<float>, Vector512<float>> actual)
    {
        var y = new float[Lanes];
        fixed (float* px = x, py = y)
            SimdPortable.Store(actual(SimdPortable.Load(px)), py);
        for (int i = 0; i < Lanes; i++)
            Equal(expected(x[i]), y[i], $"of {x[i]:R}");
    }

    /// <summary>To the bit; one NaN is as good as another.</summary>
    private static void Equal(float expected, float actual, string what) => Assert.True(
        BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(actual) || (float.IsNaN(expected) && float.IsNaN(actual)),
        $"{what}: expected {expected:R}, found {actual:R}");
}
