namespace Glip.Managed.Weights;

/// <summary>One stored tensor: name, element type, shape and raw little-endian bytes (row-major, not necessarily aligned).</summary>
public readonly ref struct WeightTensor(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> bytes)
{
    /// <summary>The checkpoint's name, without a <c>module.</c> prefix.</summary>
    public string Name { get; } = name;

    /// <summary>Element type of <see cref="Bytes"/>.</summary>
    public TensorType Type { get; } = type;

    /// <summary>Dimensions, outermost first; empty for a scalar.</summary>
    public ReadOnlySpan<int> Shape { get; } = shape;

    /// <summary>The elements, little-endian.</summary>
    public ReadOnlySpan<byte> Bytes { get; } = bytes;
}
