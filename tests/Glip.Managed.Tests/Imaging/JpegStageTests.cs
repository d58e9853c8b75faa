using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Imaging.Codecs.Jpeg;

namespace Glip.Managed.Tests.Imaging;

/// <summary>The stages of the JPEG decoder: vectors against plain loops, and both against the definitions.</summary>
public class JpegStageTests
{
    private static readonly int[] _widths = [1, 2, 3, 7, 15, 16, 17, 18, 19, 31, 32, 33, 34, 35, 63, 64, 65, 66, 67, 129, 200];

    [Fact]
    public void Vector_transform_equals_the_scalar_one()
    {
        var cases = from seed in Gen.Choose(0, int.MaxValue - 1) from limit in Gen.Elements(1, 20, 300, 2047, 32767) from step in Gen.Elements(1, 16, 255, 65535) select (seed, limit, step);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            var random = new Random(c.seed);
            short[] block = [.. Enumerable.Range(0, 64).Select(_ => (short)(random.Next(3) == 0 ? random.Next(-c.limit, c.limit + 1) : 0))];
            int[] steps = [.. Enumerable.Range(0, 64).Select(_ => random.Next(c.step + 1))];
            var scalar = new byte[8 * 11];
            var vectors = new byte[8 * 11];

            JpegIdct.Scalar(block, steps, scalar, 11, new int[64]);
            JpegIdct.Vectors(block, steps, vectors, 11, new int[64]);

            return scalar.AsSpan().SequenceEqual(vectors);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Flat_block_equals_the_full_transform()
    {
        var steps = new int[64];
        steps[0] = 1;
        for (int mean = -1100; mean <= 1100; mean++)
        {
            var block = new short[64];
            block[0] = (short)mean;
            var full = new byte[64];
            var flat = new byte[64];

            JpegIdct.Scalar(block, steps, full, 8, new int[64]);
            JpegIdct.Transform(block, steps, 0, flat, 8, new int[64]);

            Assert.Equal(full, flat);
        }
    }

    [Fact]
    public void Transform_is_the_inverse_of_the_forward_one()
    {
        var random = new Random(1);
        for (int i = 0; i < 200; i++)
        {
            float[] samples = [.. Enumerable.Range(0, 64).Select(_ => (float)random.Next(-128, 128))];
            var coefficients = new float[64];
            JpegForwardDct.Transform(samples, coefficients);
            short[] block = [.. coefficients.Select(c => (short)MathF.Round(c))];
            var decoded = new byte[64];

            JpegIdct.Transform(block, [.. Enumerable.Repeat(1, 64)], 63, decoded, 8, new int[64]);

            for (int k = 0; k < 64; k++)
                Assert.InRange(decoded[k] - (samples[k] + 128), -2, 2);
        }
    }

    [Fact]
    public void Forward_transform_is_the_definition()
    {
        var random = new Random(2);
        float[] samples = [.. Enumerable.Range(0, 64).Select(_ => (float)random.Next(-128, 128))];
        var coefficients = new float[64];

        JpegForwardDct.Transform(samples, coefficients);

        for (int v = 0; v < 8; v++)
        {
            for (int u = 0; u < 8; u++)
            {
                double sum = 0;
                for (int y = 0; y < 8; y++)
                {
                    for (int x = 0; x < 8; x++)
                        sum += samples[y * 8 + x] * Math.Cos((2 * x + 1) * u * Math.PI / 16) * Math.Cos((2 * y + 1) * v * Math.PI / 16);
                }

                double expected = sum / 4 * (u == 0 ? Math.Sqrt(0.5) : 1) * (v == 0 ? Math.Sqrt(0.5) : 1);
                Assert.Equal(expected, coefficients[v * 8 + u], 1e-3);
            }
        }
    }

    [Fact]
    public void Vector_colors_equal_the_scalar_ones()
    {
        var random = new Random(3);
        foreach (int width in _widths)
        {
            (byte[] luma, byte[] cb, byte[] cr) = (Bytes(random, width), Bytes(random, width), Bytes(random, width));
            var scalar = new byte[3 * width];
            var vectors = new byte[3 * width];

            JpegColor.YCbCrToRgbScalar(luma, cb, cr, scalar);
            JpegColor.YCbCrToRgb(luma, cb, cr, vectors);

            Assert.Equal(scalar, vectors);
        }
    }

    [Fact]
    public void Every_color_equals_the_formula()
    {
        var samples = new byte[256];
        for (int i = 0; i < 256; i++)
            samples[i] = (byte)i;
        var rgb = new byte[3 * 256];
        for (int luma = 0; luma < 256; luma += 15)
        {
            for (int cr = 0; cr < 256; cr++)
            {
                JpegColor.YCbCrToRgb(Enumerable.Repeat((byte)luma, 256).ToArray(), samples, Enumerable.Repeat((byte)cr, 256).ToArray(), rgb);
                for (int cb = 0; cb < 256; cb++)
                {
                    // Fixed point may be one off where the exact value is a half.
                    Assert.InRange(rgb[3 * cb] - Math.Clamp(luma + 1.402 * (cr - 128), 0, 255), -0.501, 0.501);
                    Assert.InRange(rgb[3 * cb + 1] - Math.Clamp(luma - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), 0, 255), -0.51, 0.51);
                    Assert.InRange(rgb[3 * cb + 2] - Math.Clamp(luma + 1.772 * (cb - 128), 0, 255), -0.501, 0.501);
                }
            }
        }
    }

    [Fact]
    public void Vector_filters_equal_the_scalar_ones()
    {
        var random = new Random(4);
        foreach (int width in _widths)
        {
            (byte[] near, byte[] far) = (Bytes(random, width), Bytes(random, width));
            var scalarSums = new ushort[width + 2];
            var vectorSums = new ushort[width + 2];
            JpegUpsampling.BlendScalar(near, far, scalarSums.AsSpan(1));
            JpegUpsampling.Blend(near, far, vectorSums.AsSpan(1));
            Assert.Equal(scalarSums, vectorSums);

            (scalarSums[0], scalarSums[^1]) = (scalarSums[1], scalarSums[^2]);
            var scalar = new byte[2 * width];
            var vectors = new byte[2 * width];
            JpegUpsampling.SpreadScalar(scalarSums, 8, 7, 4, scalar);
            JpegUpsampling.Spread(scalarSums, 8, 7, 4, vectors);
            Assert.Equal(scalar, vectors);

            var narrow = new byte[width];
            JpegUpsampling.Narrow(scalarSums.AsSpan(1, width), 2, narrow);
            Assert.Equal(near.Zip(far, (n, f) => (byte)((3 * n + f + 2) >> 2)), narrow);

            var wide = new ushort[width];
            JpegUpsampling.Widen(near, wide);
            Assert.Equal(near.Select(n => (ushort)n), wide);
        }
    }

    [Theory]
    [InlineData(1, 4)]
    [InlineData(1, 3)]
    [InlineData(2, 3)]
    [InlineData(3, 4)]
    public void Other_factors_repeat_samples(int factor, int most)
    {
        var samples = new byte[21];

        JpegUpsampling.Repeat([.. Enumerable.Range(0, 30).Select(i => (byte)i)], factor, most, samples);

        Assert.Equal(Enumerable.Range(0, 21).Select(x => (byte)(x * factor / most)), samples);
    }

    [Fact]
    public void Every_code_is_found_with_any_bits_behind_it()
    {
        // Codes of every length from 1 to 16.
        byte[] counts = [.. Enumerable.Repeat((byte)1, 16)];
        byte[] symbols = [.. Enumerable.Range(0, 16).Select(i => (byte)(i * 7))];
        JpegHuffmanTable table = JpegHuffmanTable.TryCreate(counts, symbols)!;
        var random = new Random(5);
        for (int length = 1; length <= 16; length++)
        {
            ulong code = (1ul << length) - 2; // ones and a zero
            for (int i = 0; i < 50; i++)
            {
                ulong bits = code << (64 - length) | (ulong)random.NextInt64() >> length;
                Assert.Equal(length << 8 | symbols[length - 1], table.Find(bits));
            }
        }

        Assert.Equal(0, table.Find(ulong.MaxValue));
    }

    [Fact]
    public void Overfull_codes_are_refused()
    {
        var counts = new byte[16];
        counts[0] = 3;

        Assert.Null(JpegHuffmanTable.TryCreate(counts, new byte[3]));
    }

    [Theory]
    [InlineData(1, new[] { 0, 1, 2, 3, 4, 5 }, 3)]
    [InlineData(2, new[] { 2, 1, 0, 5, 4, 3 }, 3)]
    [InlineData(3, new[] { 5, 4, 3, 2, 1, 0 }, 3)]
    [InlineData(4, new[] { 3, 4, 5, 0, 1, 2 }, 3)]
    [InlineData(5, new[] { 0, 3, 1, 4, 2, 5 }, 2)]
    [InlineData(6, new[] { 3, 0, 4, 1, 5, 2 }, 2)]
    [InlineData(7, new[] { 5, 2, 4, 1, 3, 0 }, 2)]
    [InlineData(8, new[] { 2, 5, 1, 4, 0, 3 }, 2)]
    public void Orientation_puts_pixels_where_they_belong(int orientation, int[] expected, int expectedWidth)
    {
        byte[] pixels = [.. Enumerable.Range(0, 18).Select(i => (byte)i)]; // 3x2
        byte[] turned = [.. pixels];

        if (orientation != 1)
            ExifOrientation.Apply(pixels, 3, 2, orientation, turned);

        Assert.Equal(expected.SelectMany(i => new[] { (byte)(3 * i), (byte)(3 * i + 1), (byte)(3 * i + 2) }), turned);
        Assert.Equal(expectedWidth == 2, ExifOrientation.Transposes(orientation));
    }

    private static byte[] Bytes(Random random, int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }
}
