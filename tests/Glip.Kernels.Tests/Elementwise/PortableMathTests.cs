namespace Glip.Kernels.Tests;

public class PortableMathTests
{
    [Fact]
    public void Exp_is_the_nearest_float()
    {
        int off = 0;
        const int Samples = 200_000;
        for (int i = 0; i < Samples; i++)
        {
            float x = -103.9f + (192.6f * i / Samples), expected = (float)Math.Exp(x), found = PortableMath.Exp(x);
            if (expected != found)
            {
                // What lies in the middle between two floats, as nearly as double precision can tell.
                off++;
                Assert.True(found == MathF.BitIncrement(expected) || found == MathF.BitDecrement(expected), $"exp({x:R}) = {expected:R}, found {found:R}");
            }
        }

        Assert.True(off <= 2, $"{off} of {Samples} are not the nearest float");
    }

    [Fact]
    public void Exp_ends_where_floats_end()
    {
        (float X, float Expected)[] cases =
        [
            (0, 1), (-0f, 1), (1, 2.7182817f), (88.72283f, 3.4027985e38f), (88.72284f, float.PositiveInfinity), (float.MaxValue, float.PositiveInfinity),
            (float.PositiveInfinity, float.PositiveInfinity), (-103.97208f, float.Epsilon), (-103.97209f, 0), (float.MinValue, 0), (float.NegativeInfinity, 0),
            (float.NaN, float.NaN),
        ];
        foreach ((float x, float expected) in cases)
            Assert.True(expected.Equals(PortableMath.Exp(x)), $"exp({x:R}) is {PortableMath.Exp(x):R}, not {expected:R}");
    }

    [Fact]
    public void Sigmoid_runs_from_0_to_1()
    {
        (float X, float Expected)[] cases = [(float.NegativeInfinity, 0), (-200, 0), (0, 0.5f), (200, 1), (float.PositiveInfinity, 1), (float.NaN, float.NaN)];
        foreach ((float x, float expected) in cases)
            Assert.True(expected.Equals(PortableMath.Sigmoid(x)), $"sigmoid({x:R}) is {PortableMath.Sigmoid(x):R}, not {expected:R}");
    }

    [Fact]
    public void Sigmoid_is_as_exact_as_its_three_roundings_allow()
    {
        for (float x = -80; x < 20; x += 0.01f)
        {
            double expected = 1 / (1 + Math.Exp(-x));
            Assert.InRange(PortableMath.Sigmoid(x), expected * (1 - (2.5 * Tolerance.Unit)), expected * (1 + (2.5 * Tolerance.Unit)));
        }
    }

    [Fact]
    public void Dot_looks_at_all_elements_and_nothing_else()
    {
        for (int length = 0; length < 50; length++)
        {
            float[] a = [.. Enumerable.Range(1, length).Select(i => (float)i)], b = [.. Enumerable.Range(1, length + 3).Select(i => 2f * i)];
            Assert.Equal(length * (length + 1) * ((2 * length) + 1) / 3, PortableMath.Dot(a, b));
        }

        Refusal.Names("b", "b needs 3 elements, has 2", () => PortableMath.Dot(new float[3], new float[2]));
    }
}
