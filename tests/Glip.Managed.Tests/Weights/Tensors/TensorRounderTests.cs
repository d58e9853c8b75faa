using System.Runtime.InteropServices;
using Glip.Managed;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.Tests.Weights;

public class TensorRounderTests
{
    [Fact]
    public void Singles_become_the_nearest_half_ties_to_even()
    {
        // Between neighbouring halves a (even or odd) and b: just below the middle, the middle, just above. Subnormals are among them.
        var values = new List<float>();
        var expected = new List<Half>();
        for (ushort bits = 0; bits < 0x7BFF; bits++)
        {
            Half a = BitConverter.UInt16BitsToHalf(bits), b = BitConverter.UInt16BitsToHalf((ushort)(bits + 1));
            float middle = ((float)a + (float)b) / 2;
            values.AddRange([(float)a, BitDecrement(middle), middle, BitIncrement(middle), -middle]);
            Half even = bits % 2 == 0 ? a : b;
            expected.AddRange([a, a, even, b, -even]);
        }

        Assert.Equal(expected, Halves(Convert(TensorType.F32, TensorType.F16, [.. values])));
    }

    [Fact]
    public void Singles_become_the_nearest_bfloat16_ties_to_even()
    {
        var values = new List<float>();
        var expected = new List<ushort>();
        for (uint upper = 0; upper < 0x7F7F; upper++)
        {
            float middle = BitConverter.UInt32BitsToSingle((upper << 16) | 0x8000);
            values.AddRange([BitConverter.UInt32BitsToSingle(upper << 16), BitDecrement(middle), middle, BitIncrement(middle), -middle]);
            ushort a = (ushort)upper, even = (ushort)(upper + (upper & 1));
            expected.AddRange([a, a, even, (ushort)(a + 1), (ushort)(even | 0x8000)]);
        }

        Assert.Equal(expected, MemoryMarshal.Cast<byte, ushort>(Convert(TensorType.F32, TensorType.BF16, [.. values])).ToArray());
    }

    [Fact]
    public void Doubles_are_rounded_once()
    {
        // A hair off the middle of two halves: as a single it would be the middle itself, and then go the wrong way.
        double[] values = [1 + Two(-11) + Two(-40), 1 + Two(-11) - Two(-40), -(1 + Two(-11) + Two(-40)), 1 + (3 * Two(-11)) - Two(-40), 1e-300, Two(-25) + Two(-60), Two(-25)];
        Assert.Equal(
            [(Half)(1 + Two(-10)), (Half)1, (Half)(-(1 + Two(-10))), (Half)(1 + Two(-10)), (Half)0, Half.Epsilon, (Half)0],
            Halves(Convert(TensorType.F64, TensorType.F16, values)));
        Assert.Equal(values.Select(v => (Half)v), Halves(Convert(TensorType.F64, TensorType.F16, values)));
        Assert.Equal(values.Select(v => (float)v), MemoryMarshal.Cast<byte, float>(Convert(TensorType.F64, TensorType.F32, values)).ToArray());
        Assert.Equal([0x3F81, 0x3F80], MemoryMarshal.Cast<byte, ushort>(
            Convert(TensorType.F64, TensorType.BF16, [1 + Two(-8) + Two(-40), 1 + Two(-8) - Two(-40)])).ToArray());

        static double Two(int exponent) => Math.ScaleB(1, exponent);
    }

    [Theory]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    public void Half_sizes_survive_unchanged(object type)
    {
        byte[] bytes = new byte[1 << 17];
        for (int i = 0; i < 1 << 16; i++)
            BitConverter.TryWriteBytes(bytes.AsSpan(2 * i), (ushort)(IsFinite(i) ? i : 0));
        Assert.Equal(bytes, Convert((TensorType)type, (TensorType)type, bytes));

        bool IsFinite(int bits) => (TensorType)type == TensorType.F16 ? (bits & 0x7C00) != 0x7C00 : (bits & 0x7F80) != 0x7F80;
    }

    [Fact]
    public void The_largest_values_fit_and_the_next_are_refused()
    {
        Assert.Equal([Half.MaxValue, Half.MinValue], Halves(Convert(TensorType.F32, TensorType.F16, [65519.996f, -65519.996f])));
        Expect("here: the value 65520 at element 1 is beyond half precision (65504); use --dtype f32 or bf16", TensorType.F32, TensorType.F16, [1, 65520f]);
        Expect("here: the value -1E+300 at element 0 is beyond single precision", TensorType.F64, TensorType.F32, [-1e300]);
        Expect("is beyond half precision", TensorType.F64, TensorType.F16, [1e300]);
        Expect("is beyond bfloat16; use --dtype f32", TensorType.F32, TensorType.BF16, [float.MaxValue]);
        Expect("is beyond bfloat16; use --dtype f32", TensorType.F64, TensorType.BF16, [(double)float.MaxValue]);
        Assert.Equal([0x7F7F], MemoryMarshal.Cast<byte, ushort>(Convert(TensorType.F32, TensorType.BF16, [3.3895e38f])).ToArray());
    }

    [Fact]
    public void Values_that_are_not_finite_are_refused_with_their_place()
    {
        var values = new float[(1 << 20) + 5]; // more than a part
        values[^2] = float.NaN;
        Expect("here: has NaN at element 1048579: weights must be finite", TensorType.F32, TensorType.F32, values);
        values[^2] = float.NegativeInfinity;
        Expect("here: has -Infinity at element 1048579: weights must be finite", TensorType.F32, TensorType.F16, values);
        Expect("here: has NaN at element 1: weights must be finite", TensorType.F64, TensorType.F32, [0, double.NaN]);
        Expect("here: has Infinity at element 0: weights must be finite", TensorType.F16, TensorType.F32, [Half.PositiveInfinity]);
    }

    [Fact]
    public void The_largest_change_is_relative_to_the_largest_value_of_all_parts()
    {
        var values = new float[(1 << 20) + 1];
        values[0] = 2049; // between the halves 2048 and 2050
        values[^1] = -4096;
        byte[] bytes = MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
        float change = new TensorRounder().Convert(new MemoryStream(bytes), TensorType.F32, values.Length, TensorType.F16, "here", _ => { });
        Assert.Equal(1 / 4096f, change);
    }

    private static float BitDecrement(float value) => MathF.BitDecrement(value);

    private static float BitIncrement(float value) => MathF.BitIncrement(value);

    private static Half[] Halves(byte[] bytes) => MemoryMarshal.Cast<byte, Half>(bytes).ToArray();

    private static byte[] Convert<T>(TensorType from, TensorType to, T[] values)
        where T : unmanaged
    {
        byte[] bytes = MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
        var result = new List<byte>();
        new TensorRounder().Convert(new MemoryStream(bytes), from, bytes.Length / from.ByteSize(), to, "here", part => result.AddRange(part));
        return [.. result];
    }

    private static void Expect<T>(string message, TensorType from, TensorType to, T[] values)
        where T : unmanaged => Refusal.Expect<GlipFormatException>(message, () => Convert(from, to, values));
}
