namespace Glip.Kernels;

/// <summary>
/// The right side of a GEMM, packed once: an N×K weight matrix and its bias, cut into panels as wide as the instruction set's tile.
/// </summary>
/// <remarks>
/// Panel p holds columns p·Nr … p·Nr + Nr − 1 of the product: for each k, Nr floats. The last panel and the bias are filled up with
/// zeros. The memory is pinned, so that addresses hold.
/// </remarks>
public sealed unsafe class PackedMatrix
{
    // Panels and bias keep the pinned arrays alive for as long as somebody holds this object.
    private readonly float[] _panels;
    private readonly float[] _bias;

    private PackedMatrix(KernelContext context, int columns, int depth, ReadOnlySpan<float> bias)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        if (bias.Length != 0 && bias.Length != columns)
            throw new ArgumentException($"bias has {bias.Length} values for {columns} columns", nameof(bias));
        Columns = columns;
        Depth = depth;
        PanelWidth = GemmTable.PanelWidth(context.Isa);
        _bias = GC.AllocateArray<float>(PaddedColumns(columns, PanelWidth), pinned: true);
        _panels = GC.AllocateArray<float>(checked(PaddedColumns(columns, PanelWidth) * depth), pinned: true);
        bias.CopyTo(_bias);
    }

    /// <summary>N: columns of the product.</summary>
    public int Columns { get; }

    /// <summary>K: columns of the left side.</summary>
    public int Depth { get; }

    /// <summary>Columns of a panel.</summary>
    public int PanelWidth { get; }

    /// <summary>Bytes held.</summary>
    public long Bytes => (long)(_panels.Length + _bias.Length) * sizeof(float);

    /// <summary>The addresses. They hold for as long as this object lives: who uses them ends with <see cref="GC.KeepAlive"/>.</summary>
    internal PackedView View
    {
        get
        {
            // Pinned arrays do not move: the pointers outlive the statement.
            fixed (float* panels = _panels)
            fixed (float* bias = _bias)
                return new PackedView(panels, bias, Columns, Depth, PanelWidth);
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
        fixed (float* target = matrix._panels)
            Packing.FromRows(source, depth, columns, depth, target, matrix.PanelWidth);
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
        fixed (float* target = matrix._panels)
            Packing.FromColumns(source, columns, depth, columns, target, matrix.PanelWidth);
        return matrix;
    }

    internal static int PaddedColumns(int columns, int panelWidth) => (columns + panelWidth - 1) / panelWidth * panelWidth;
}

/// <summary>Addresses of a packed right side; <see cref="PackedMatrix"/> or scratch memory owns it.</summary>
internal readonly unsafe struct PackedView(float* panels, float* bias, int columns, int depth, int panelWidth)
{
    public readonly float* Panels = panels;

    public readonly float* Bias = bias;

    public readonly int Columns = columns;

    public readonly int Depth = depth;

    public int PaddedColumns => PackedMatrix.PaddedColumns(Columns, panelWidth);

    public int PanelWidth => panelWidth;
}

/// <summary>The loops that fill panels.</summary>
internal static unsafe class Packing
{
    /// <summary>From [N, K] with rows <paramref name="stride"/> apart.</summary>
    public static void FromRows(float* source, nint stride, int columns, int depth, float* target, int panelWidth)
    {
        for (int first = 0; first < columns; first += panelWidth)
        {
            int wide = Math.Min(panelWidth, columns - first);
            for (int j = 0; j < wide; j++)
            {
                float* row = source + ((first + j) * stride);
                float* column = target + j;
                for (int k = 0; k < depth; k++)
                    column[(nint)k * panelWidth] = row[k];
            }

            for (int j = wide; j < panelWidth; j++)
            {
                for (int k = 0; k < depth; k++)
                    target[((nint)k * panelWidth) + j] = 0;
            }

            target += (nint)depth * panelWidth;
        }
    }

    /// <summary>From [K, N] with rows <paramref name="stride"/> apart.</summary>
    public static void FromColumns(float* source, nint stride, int depth, int columns, float* target, int panelWidth)
    {
        for (int first = 0; first < columns; first += panelWidth)
        {
            int wide = Math.Min(panelWidth, columns - first);
            for (int k = 0; k < depth; k++)
            {
                new ReadOnlySpan<float>(source + (k * stride) + first, wide).CopyTo(new Span<float>(target, wide));
                new Span<float>(target + wide, panelWidth - wide).Clear();
                target += panelWidth;
            }
        }
    }
}
