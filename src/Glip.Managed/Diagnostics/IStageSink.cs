using Glip.Managed.Weights;

namespace Glip.Managed.Diagnostics;

/// <summary>Receives the results of each stage of a detection, for comparison with another implementation.</summary>
public interface IStageSink
{
    /// <summary>Takes one tensor. The spans are only valid during the call.</summary>
    /// <param name="name">The stage: <c>fpn.P3</c>, <c>tower.0.VLFuse.hidden</c>, <c>final.boxes</c>.</param>
    /// <param name="type">Element type.</param>
    /// <param name="shape">Dimensions in the original's layout (maps are [1, C, H, W]).</param>
    /// <param name="data">Elements, little-endian.</param>
    void Add(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data);
}
