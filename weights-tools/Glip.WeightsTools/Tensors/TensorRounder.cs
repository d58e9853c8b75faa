using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Glip.Managed;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Tensors;

/// <summary>
/// Streams tensors of any floating type as another: rounded once, to nearest, ties to even, with the target's subnormals. What does not fit is an error,
/// never infinity.
/// </summary>
internal sealed class TensorRounder
{
    private const int ChunkElements = 1 << 16;

    private readonly byte[] _source = new byte[ChunkElements * sizeof(double)];
    private readonly byte[] _target = new byte[ChunkElements * sizeof(float)];
    private readonly float[] _singles = new float[ChunkElements];
    private readonly float[] _back = new float[ChunkElements];

    /// <summary>Where a part of the result goes.</summary>
    public delegate void Sink(ReadOnlySpan<byte> bytes);

    /// <summary>Converts a tensor part by part.</summary>
    /// <param name="source">Its elements, little-endian.</param>
    /// <param name="from">Their type, a floating one.</param>
    /// <param name="elements">How many.</param>
    /// <param name="to"><see cref="TensorType.F32"/>, <see cref="TensorType.F16"/> or <see cref="TensorType.BF16"/>.</param>
    /// <param name="origin">What messages call the tensor.</param>
    /// <param name="sink">Receives the result, in order.</param>
    /// <returns>The largest change of a value, in parts of the tensor's largest value; 0 if none changed.</returns>
    /// <exception cref="GlipFormatException">A value is not finite, or too large for <paramref name="to"/>.</exception>
    public float Convert(Stream source, TensorType from, int elements, TensorType to, string origin, Sink sink)
    {
        float largest = 0;
        float change = 0;
        for (int done = 0; done < elements; done += ChunkElements)
        {
            int count = Math.Min(ChunkElements, elements - done);
            Span<byte> read = _source.AsSpan(0, count * from.ByteSize());
            source.ReadExactly(read);
            Span<float> singles = _singles.AsSpan(0, count);
            Widen(read, from, to, singles, (origin, done));
            Span<byte> written = _target.AsSpan(0, count * to.ByteSize());
            Span<float> back = _back.AsSpan(0, count);
            Round(singles, to, written, back, (origin, done));
            sink(written);

            largest = Math.Max(largest, Math.Abs(TensorPrimitives.MaxMagnitude<float>(singles)));
            if (to == TensorType.F32)
                continue;
            TensorPrimitives.Subtract(back, singles, back);
            change = Math.Max(change, Math.Abs(TensorPrimitives.MaxMagnitude<float>(back)));
        }

        return largest > 0 ? change / largest : 0;
    }

    /// <summary>As singles: exactly, but for doubles, which are rounded so that rounding a second time gives what rounding once would.</summary>
    private static void Widen(ReadOnlySpan<byte> bytes, TensorType from, TensorType to, Span<float> singles, (string Name, int First) origin)
    {
        if (from != TensorType.F64)
        {
            TensorConversion.ReadSingles(new WeightTensor(origin.Name, from, [singles.Length], bytes), singles);
            RequireFinite(singles, origin);
            return;
        }

        ReadOnlySpan<double> doubles = MemoryMarshal.Cast<byte, double>(bytes);
        for (int i = 0; i < doubles.Length; i++)
        {
            if (!double.IsFinite(doubles[i]))
                throw NotFinite(origin, i, doubles[i]);
            singles[i] = to == TensorType.F32 ? (float)doubles[i] : RoundToOdd(doubles[i]);
            if (!float.IsFinite(singles[i]))
                throw TooLarge(origin, i, doubles[i], "single precision");
        }
    }

    /// <summary>To the neighbour whose last bit is odd, if not exact: a second rounding, to at least two bits less, then sees on which side of a tie the value was.</summary>
    private static float RoundToOdd(double value)
    {
        float nearest = (float)value;
        if (nearest == value)
            return nearest;
        uint bits = BitConverter.SingleToUInt32Bits(nearest);
        if (Math.Abs((double)nearest) > Math.Abs(value))
            bits--; // towards zero
        return BitConverter.UInt32BitsToSingle(bits | 1);
    }

    private static void Round(ReadOnlySpan<float> singles, TensorType to, Span<byte> target, Span<float> back, (string Name, int First) origin)
    {
        switch (to)
        {
            case TensorType.F32:
                MemoryMarshal.AsBytes(singles).CopyTo(target);
                return;
            case TensorType.F16:
                Span<Half> halves = MemoryMarshal.Cast<byte, Half>(target);
                TensorPrimitives.ConvertToHalf(singles, halves);
                TensorPrimitives.ConvertToSingle(halves, back);
                break;
            case TensorType.BF16:
                Span<ushort> upper = MemoryMarshal.Cast<byte, ushort>(target);
                for (int i = 0; i < singles.Length; i++)
                {
                    uint bits = BitConverter.SingleToUInt32Bits(singles[i]);
                    uint rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
                    upper[i] = (ushort)rounded;
                    back[i] = BitConverter.UInt32BitsToSingle(rounded << 16);
                }

                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(to), to, "weights are written as F32, F16 or BF16");
        }

        int at = TensorPrimitives.IndexOfMaxMagnitude((ReadOnlySpan<float>)back);
        if (!float.IsFinite(back[at]))
            throw TooLarge(origin, at, singles[at], to == TensorType.F16 ? "half precision (65504); use --dtype f32 or bf16" : "bfloat16; use --dtype f32");
    }

    private static void RequireFinite(ReadOnlySpan<float> values, (string Name, int First) origin)
    {
        // The largest magnitude is the first NaN if there is one.
        int at = TensorPrimitives.IndexOfMaxMagnitude(values);
        if (!float.IsFinite(values[at]))
            throw NotFinite(origin, at, values[at]);
    }

    private static GlipFormatException NotFinite((string Name, int First) origin, int at, double value) =>
        new(FormattableString.Invariant($"{origin.Name}: has {value} at element {origin.First + at}: weights must be finite"));

    private static GlipFormatException TooLarge((string Name, int First) origin, int at, double value, string what) =>
        new(FormattableString.Invariant($"{origin.Name}: the value {value} at element {origin.First + at} is beyond {what}"));
}
