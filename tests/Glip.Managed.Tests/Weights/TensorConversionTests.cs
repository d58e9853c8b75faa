using System.Runtime.InteropServices;
using Glip.Managed;
using Glip.Managed.Weights;

namespace Glip.Tests.Weights;

public class TensorConversionTests
{
    [Fact]
    public void Every_half_becomes_the_single_of_the_same_value()
    {
        ushort[] all = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] singles = Read(TensorType.F16, all);
        for (int i = 0; i < all.Length; i++)
            AssertSame((float)BitConverter.UInt16BitsToHalf(all[i]), singles[i]);
    }

    [Fact]
    public void Every_bfloat16_is_the_upper_half_of_a_single()
    {
        ushort[] all = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] singles = Read(TensorType.BF16, all);
        for (int i = 0; i < all.Length; i++)
            Assert.Equal(all[i], BitConverter.SingleToUInt32Bits(singles[i]) >> 16);
    }

    [Fact]
    public void Singles_keep_their_bits()
    {
        float[] values = [0f, -0f, 1.5f, float.NaN, float.NegativeInfinity, float.Epsilon];
        Assert.Equal(values.Select(BitConverter.SingleToUInt32Bits), Read(TensorType.F32, values).Select(BitConverter.SingleToUInt32Bits));
    }

    [Fact]
    public void Doubles_round_to_the_nearest_single()
    {
        float[] singles = Read(TensorType.F64, (double[])[0.1, 1e300, -1e-300, 16777217]);
        Assert.Equal([0.1f, float.PositiveInfinity, -0f, 16777216f], singles);
    }

    [Theory]
    [InlineData(TensorType.F16, 2)]
    [InlineData(TensorType.BF16, 2)]
    [InlineData(TensorType.F32, 4)]
    [InlineData(TensorType.F64, 8)]
    public void Bytes_need_not_be_aligned(TensorType type, int size)
    {
        byte[] shifted = new byte[37 * size + 1];
        new Random(5).NextBytes(shifted);
        byte[] copy = shifted[1..];
        float[] expected = TensorConversion.ReadSingles(new WeightTensor("t", type, [37], copy));
        float[] found = TensorConversion.ReadSingles(new WeightTensor("t", type, [37], shifted.AsSpan(1)));
        Assert.Equal(expected.Select(BitConverter.SingleToUInt32Bits), found.Select(BitConverter.SingleToUInt32Bits));
    }

    [Fact]
    public void Whole_numbers_are_not_weights()
    {
        Refusal.Expect<GlipFormatException>(
            "tensor 'ids': expected F32, F16, BF16 or F64, found I64",
            () => TensorConversion.ReadSingles(new WeightTensor("ids", TensorType.I64, [1], new byte[8])));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void The_destination_must_fit(int length)
    {
        Refusal.Expect<ArgumentException>(
            $"'t' has 2 elements, the destination {length}",
            () => TensorConversion.ReadSingles(new WeightTensor("t", TensorType.F32, [2], new byte[8]), new float[length]));
    }

    private static float[] Read<T>(TensorType type, T[] values)
        where T : struct => TensorConversion.ReadSingles(new WeightTensor("t", type, [values.Length], MemoryMarshal.AsBytes(values.AsSpan())));

    private static void AssertSame(float expected, float found) =>
        Assert.True(
            float.IsNaN(expected) ? float.IsNaN(found) : BitConverter.SingleToUInt32Bits(expected) == BitConverter.SingleToUInt32Bits(found),
            $"{expected} became {found}");
}
