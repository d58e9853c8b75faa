using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>Facts about <see cref="TensorType"/> values.</summary>
internal static class TensorTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int ByteSize(this TensorType type) => type switch
    {
        TensorType.F64 or TensorType.I64 => 8,
        TensorType.F32 or TensorType.I32 => 4,
        TensorType.F16 or TensorType.BF16 or TensorType.I16 => 2,
        TensorType.I8 or TensorType.U8 or TensorType.Bool => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "is not a TensorType"),
    };

    /// <summary>True for the types that weights may have.</summary>
    public static bool IsFloating(this TensorType type) => type is TensorType.F32 or TensorType.F16 or TensorType.BF16 or TensorType.F64;

    /// <summary>The type that stores <paramref name="type"/>.</summary>
    public static TensorType Of(PanelType type) => type switch
    {
        PanelType.Single => TensorType.F32,
        PanelType.Half => TensorType.F16,
        PanelType.BFloat16 => TensorType.BF16,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "is not a PanelType"),
    };

    /// <summary>The name that safetensors files use.</summary>
    public static string SafetensorsName(this TensorType type) => type == TensorType.Bool ? "BOOL" : type.ToString();

    /// <summary>Reads a name as <see cref="SafetensorsName"/> writes it.</summary>
    public static bool TryParse(string? name, out TensorType type)
    {
        foreach (TensorType candidate in Enum.GetValues<TensorType>())
        {
            if (candidate.SafetensorsName() == name)
            {
                type = candidate;
                return true;
            }
        }

        type = default;
        return false;
    }

    /// <summary>Bytes of a tensor, or -1 if they do not fit a span.</summary>
    public static int ByteCount(this TensorType type, ReadOnlySpan<int> shape)
    {
        long bytes = type.ByteSize();
        foreach (int dimension in shape)
        {
            if (dimension < 0)
                return -1;
            // The other dimensions count even behind a zero: a shape that overflows is never meant.
            if (bytes != 0 && dimension > int.MaxValue / bytes)
                return -1;
            bytes *= dimension;
        }

        return (int)bytes;
    }
}
