namespace Glip.Managed.Weights;

/// <summary>A tensor for a moment: its bytes are valid until this is disposed, and do not stay in memory on its account.</summary>
internal readonly ref struct TensorLease(WeightTensor tensor, IDisposable? memory)
{
    /// <summary>The tensor.</summary>
    public WeightTensor Tensor { get; } = tensor;

    /// <summary>Ends the lease.</summary>
    public void Dispose() => memory?.Dispose();
}
