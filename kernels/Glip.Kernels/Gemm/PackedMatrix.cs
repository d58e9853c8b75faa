namespace Glip.Kernels;

/// <summary>
/// The right side of a GEMM, packed once: an N×K weight matrix and its bias, cut into panels as wide as the instruction set's tile.
/// </summary>
/// <remarks>
/// A panel holds neighbouring columns of the product: for each k, as many floats. The last panel is narrower; it and the bias are filled up with zeros
/// to whole vectors. The memory is pinned, so that addresses hold.
/// </remarks>
public sealed unsafe class PackedMatrix
{
    // Vectors that straddle cache lines cost two accesses each, so panels start on a line.
    private const int LineFloats = 16;

    // The weights once more in rows, if there are few columns: see FewColumns.
    private readonly float[]? _rows;

    // Panels, then the bias; alive for as long as somebody holds this object.
    private readonly float[] _memory;

    private PackedMatrix(KernelContext context, int columns, int depth, ReadOnlySpan<float> bias)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        if (bias.Length != 0 && bias.Length != columns)
            throw new ArgumentException($"bias has {bias.Length} values for {columns} columns", nameof(bias));
        Columns = columns;
        Depth = depth;
        Layout = GemmTable.Layout(context.Isa);
        int padded = Layout.Padded(columns);
        _memory = GC.AllocateArray<float>(checked((padded * (depth + 1)) + LineFloats), pinned: true);
        _rows = columns <= FewColumns.Most ? GC.AllocateArray<float>(columns * depth, pinned: true) : null;
        bias.CopyTo(new Span<float>(View.Bias, padded));
    }

    /// <summary>N: columns of the product.</summary>
    public int Columns { get; }

    /// <summary>K: columns of the left side.</summary>
    public int Depth { get; }

    /// <summary>How it is cut into panels.</summary>
    public PanelLayout Layout { get; }

    /// <summary>Bytes of panels and bias.</summary>
    public long Bytes => (long)Layout.Padded(Columns) * (Depth + 1) * sizeof(float);

    /// <summary>The addresses. They hold for as long as this object lives: who uses them ends with <see cref="GC.KeepAlive"/>.</summary>
    internal PackedView View
    {
        get
        {
            // Pinned arrays do not move: the pointers outlive the statement.
            fixed (float* memory = _memory)
            {
                float* panels = (float*)(((nuint)memory + (LineFloats * sizeof(float)) - 1) & ~(nuint)((LineFloats * sizeof(float)) - 1));
                return new PackedView(panels, panels + ((nint)Layout.Padded(Columns) * Depth), Columns, Depth, Layout);
            }
        }
    }

    /// <summary>The weights in rows, or null if there are more than a few columns. The address holds as long as this object lives.</summary>
    internal float* RowMajor
    {
        get
        {
            fixed (float* rows = _rows)
                return rows;
        }
    }

    /// <summary>Packs weights as layers store them: one row of K values for each of N outputs.</summary>
    /// <param name="context">Decides the panel width; a matrix only fits contexts of the same instruction set.</param>
    /// <param name="weight">[N, K].</param>
    /// <param name="columns">N.</param>
    /// <param name="depth">K.</param>
    /// <param name="bias">[N], or empty for none.</param>
    public static PackedMatrix FromRows(KernelContext context, ReadOnlySpan<float> weight, int columns, int depth, ReadOnlySpan<float> bias)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.Length(weight, (long)columns * depth, nameof(weight));
        var matrix = new PackedMatrix(context, columns, depth, bias);
        fixed (float* source = weight)
            Packing.FromRows(context, source, depth, matrix.View);
        if (matrix._rows is not null)
            weight[..matrix._rows.Length].CopyTo(matrix._rows);
        return matrix;
    }

    /// <summary>Packs a matrix whose rows run over N: one row of N values for each of K.</summary>
    /// <param name="context">Decides the panel width.</param>
    /// <param name="weight">[K, N].</param>
    /// <param name="depth">K.</param>
    /// <param name="columns">N.</param>
    /// <param name="bias">[N], or empty for none.</param>
    public static PackedMatrix FromColumns(KernelContext context, ReadOnlySpan<float> weight, int depth, int columns, ReadOnlySpan<float> bias)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.Length(weight, (long)columns * depth, nameof(weight));
        var matrix = new PackedMatrix(context, columns, depth, bias);
        fixed (float* source = weight)
            Packing.FromColumns(context, source, columns, matrix.View);
        for (int i = 0; i < matrix._rows?.Length; i++)
            matrix._rows[i] = weight[(i % depth * columns) + (i / depth)];
        return matrix;
    }
}

/// <summary>Addresses of a packed right side; <see cref="PackedMatrix"/> or scratch memory owns it.</summary>
internal readonly unsafe struct PackedView(float* panels, float* bias, int columns, int depth, PanelLayout layout)
{
    public readonly float* Panels = panels;

    public readonly float* Bias = bias;

    public readonly int Columns = columns;

    public readonly int Depth = depth;

    public readonly PanelLayout Layout = layout;

    /// <summary>The same panels, to add to what C holds.</summary>
    public PackedView WithoutBias => new(Panels, null, Columns, Depth, Layout);

    public int PaddedColumns => Layout.Padded(Columns);

    /// <summary>Copies a bias of [N] and fills it up with zeros; nothing while planning.</summary>
    public void FillBias(KernelContext context, float* source)
    {
        if (context.IsPlanning)
            return;
        new ReadOnlySpan<float>(source, Columns).CopyTo(new Span<float>(Bias, Columns));
        new Span<float>(Bias + Columns, PaddedColumns - Columns).Clear();
    }

    /// <summary>Columns of the panel that starts at column <paramref name="first"/>.</summary>
    public int WidthAt(int first) => Math.Min(Layout.Width, PaddedColumns - first);
}
