using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>Rows of numbers that are looked up, such as word embeddings, kept in the type that the checkpoint has.</summary>
internal sealed class WeightTable(PanelType type, int width, FixedMemory memory)
{
    /// <summary>Writes row <paramref name="index"/> in single precision.</summary>
    public void Read(KernelContext kernels, int index, Span<float> row)
    {
        if (type == PanelType.Single)
            memory.Span<float>().Slice(index * width, width).CopyTo(row);
        else
            PanelTypes.Widen(kernels, type, memory.Span<ushort>().Slice(index * width, width), row);
        GC.KeepAlive(this);
    }
}
