namespace Glip.Kernels;

/// <summary>What a packed matrix looks like in memory, without the memory.</summary>
/// <param name="Columns">N: columns of the product.</param>
/// <param name="Depth">K: columns of the left side.</param>
/// <param name="Layout">How it is cut into panels.</param>
/// <param name="Type">How panels hold their numbers.</param>
public readonly record struct PackedShape(int Columns, int Depth, PanelLayout Layout, PanelType Type = PanelType.Single)
{
    /// <summary>Numbers in the panels, their filling included.</summary>
    public long PanelElements => (long)Layout.Padded(Columns) * Depth;

    /// <summary>Bytes of the panels, whole cache lines.</summary>
    public long PanelBytes => FixedMemory.WholeLines(PanelElements * Type.ElementBytes());

    /// <summary>Bytes of the bias, in single precision, whole cache lines.</summary>
    public long BiasBytes => FixedMemory.WholeLines((long)Layout.Padded(Columns) * sizeof(float));
}
