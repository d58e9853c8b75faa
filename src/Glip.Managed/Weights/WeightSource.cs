using Glip.Managed.Model;

namespace Glip.Managed.Weights;

/// <summary>
/// Where a model's configuration, vocabulary and tensors come from: a model file (safetensors) or a formula
/// (procedural test weights). Reading tensors is thread-safe.
/// </summary>
public abstract class WeightSource : IDisposable
{
    /// <summary>What messages call this source: a path, or <c>procedural:glip-t:77</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The model's sizes and defaults.</summary>
    public abstract GlipConfig Config { get; }

    /// <summary>The WordPiece vocabulary: line i is token i, as UTF-8 text with one token a line.</summary>
    public abstract ReadOnlyMemory<byte> Vocabulary { get; }

    /// <summary>Names of all stored tensors.</summary>
    public abstract IReadOnlyCollection<string> TensorNames { get; }

    /// <summary>
    /// The text encoder's output for prompts that were chosen when the model was made, if the model has these instead of the encoder; null if it has the encoder.
    /// </summary>
    internal virtual IReadOnlyList<PromptRows>? StoredPrompts => null;

    /// <summary>The weights in the form that kernels read, if the source has them so; then it has only the small ones as tensors.</summary>
    internal virtual PackedWeights? Packed => null;

    /// <summary>Finds a tensor. Its bytes stay valid until this source is disposed.</summary>
    public abstract bool TryGetTensor(string name, out WeightTensor tensor);

    /// <summary>Finds a tensor for a moment, which a source may use to keep no more than that in memory.</summary>
    internal virtual bool TryLend(string name, out TensorLease lease)
    {
        bool found = TryGetTensor(name, out WeightTensor tensor);
        lease = new TensorLease(tensor, null);
        return found;
    }

    /// <summary>Finds a tensor's element type and shape without making its elements, which can be gigabytes.</summary>
    public virtual bool TryDescribe(string name, out TensorType type, out ReadOnlySpan<int> shape)
    {
        bool found = TryGetTensor(name, out WeightTensor tensor);
        type = tensor.Type;
        shape = tensor.Shape;
        return found;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what the source holds (a mapped file, say).</summary>
    protected virtual void Dispose(bool disposing)
    {
    }
}
