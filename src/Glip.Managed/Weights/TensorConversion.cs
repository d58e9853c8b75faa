using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Glip.Managed.Weights;

/// <summary>Stored tensors as single precision numbers, whatever floating type the file holds.</summary>
internal static class TensorConversion
{
    /// <summary>All elements of <paramref name="tensor"/>, row-major.</summary>
    /// <exception cref="GlipFormatException">Its type is not a floating type.</exception>
    public static float[] ReadSingles(WeightTensor tensor)
    {
        RequireFloating(tensor);
        var singles = GC.AllocateUninitializedArray<float>(tensor.Bytes.Length / tensor.Type.ByteSize());
        ReadSingles(tensor, singles);
        return singles;
    }

    /// <summary>Writes all elements of <paramref name="tensor"/>, row-major, to <paramref name="destination"/>.</summary>
    /// <exception cref="GlipFormatException">Its type is not a floating type.</exception>
    /// <exception cref="ArgumentException"><paramref name="destination"/> has another number of elements.</exception>
    /// <exception cref="PlatformNotSupportedException">The machine is big-endian; files are not.</exception>
    public static void ReadSingles(WeightTensor tensor, Span<float> destination)
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("weights are stored little-endian, this machine is big-endian");
        RequireFloating(tensor);
        ReadOnlySpan<byte> bytes = tensor.Bytes;
        if (destination.Length != bytes.Length / tensor.Type.ByteSize())
        {
            throw new ArgumentException(
                $"{DisplayText.Quote(tensor.Name)} has {bytes.Length / tensor.Type.ByteSize()} elements, the destination {destination.Length}", nameof(destination));
        }

        switch (tensor.Type)
        {
            case TensorType.F32:
                bytes.CopyTo(MemoryMarshal.AsBytes(destination));
                break;
            case TensorType.F16:
                TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(bytes), destination);
                break;
            case TensorType.BF16:
                ReadOnlySpan<ushort> upper = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (int i = 0; i < upper.Length; i++)
                    destination[i] = BitConverter.UInt32BitsToSingle((uint)upper[i] << 16);
                break;
            default:
                ReadOnlySpan<double> doubles = MemoryMarshal.Cast<byte, double>(bytes);
                for (int i = 0; i < doubles.Length; i++)
                    destination[i] = (float)doubles[i];
                break;
        }
    }

    private static void RequireFloating(WeightTensor tensor)
    {
        if (!tensor.Type.IsFloating())
            throw new GlipFormatException($"tensor {DisplayText.Quote(tensor.Name)}: expected F32, F16, BF16 or F64, found {tensor.Type.SafetensorsName()}");
    }
}
