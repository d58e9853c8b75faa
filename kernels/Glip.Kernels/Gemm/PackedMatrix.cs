using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// The right side of a GEMM, packed once: an N×K weight matrix and its bias, cut into panels as wide as the instruction set's tile.
/// </summary>
/// <remarks>
/// A panel holds neighbouring columns of the product: for each k, as many numbers. The last panel is narrower; it and the bias are filled up with zeros
/// to whole vectors. The memory is anybody's that stays in place: see <see cref="FixedMemory"/>.
/// </remarks>
public sealed unsafe class PackedMatrix
{
    private readonly FixedMemory _panels;
    private readonly FixedMemory _bias;

    // The weights once more in rows, if there are few columns: see FewColumns.
    private readonly float[]? _rows;

    /// <summary>A matrix in memory that holds it already, or that is going to be given it (<see cref="PackRows(KernelContext, ReadOnlySpan{float}, ReadOnlySpan{float})"/>).</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="panels"><see cref="PackedShape.PanelBytes"/>.</param>
    /// <param name="bias"><see cref="PackedShape.BiasBytes"/>.</param>
    public PackedMatrix(PackedShape shape, FixedMemory panels, FixedMemory bias)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shape.Columns, 1, "columns");
        ArgumentOutOfRangeException.ThrowIfLessThan(shape.Depth, 1, "depth");
        Check.That(panels.Length >= shape.PanelBytes, $"{nameof(panels)} has {panels.Length} bytes, needs {shape.PanelBytes}", nameof(panels));
        Check.That(bias.Length >= shape.BiasBytes, $"{nameof(bias)} has {bias.Length} bytes, needs {shape.BiasBytes}", nameof(bias));
        Shape = shape;
        _panels = panels;
        _bias = bias;
        _rows = shape.Columns <= FewColumns.Most ? GC.AllocateArray<float>(shape.Columns * shape.Depth, pinned: true) : null;
        CopyRows();
    }

    /// <summary>Sizes.</summary>
    public PackedShape Shape { get; }

    /// <summary>N: columns of the product.</summary>
    public int Columns => Shape.Columns;

    /// <summary>K: columns of the left side.</summary>
    public int Depth => Shape.Depth;

    /// <summary>How it is cut into panels.</summary>
    public PanelLayout Layout => Shape.Layout;

    /// <summary>Bytes of panels and bias.</summary>
    public long Bytes => Shape.PanelBytes + Shape.BiasBytes;

    /// <summary>The addresses. They hold for as long as this object lives: who uses them ends with <see cref="GC.KeepAlive"/>.</summary>
    internal PackedView View => new((float*)_panels.Address, (float*)_bias.Address, Columns, Depth, Layout, Shape.Type);

    /// <summary>The weights in rows, or null if there are more than a few columns. The address holds as long as this object lives.</summary>
    internal float* RowMajor
    {
        get
        {
            fixed (float* rows = _rows)
                return rows;
        }
    }

    /// <summary>Packs weights as layers store them into memory of their own: one row of K values for each of N outputs.</summary>
    /// <param name="context">Decides the panel width; a matrix only fits contexts of the same instruction set.</param>
    /// <param name="weight">[N, K].</param>
    /// <param name="columns">N.</param>
    /// <param name="depth">K.</param>
    /// <param name="bias">[N], or empty for none.</param>
    public static PackedMatrix FromRows(KernelContext context, ReadOnlySpan<float> weight, int columns, int depth, ReadOnlySpan<float> bias)
    {
        PackedMatrix matrix = Create(context, columns, depth);
        matrix.PackRows(context, weight, bias);
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
        PackedMatrix matrix = Create(context, columns, depth);
        matrix.PackColumns(context, weight, bias);
        return matrix;
    }

    /// <summary>Fills the memory from [N, K].</summary>
    /// <param name="context">Workers that share the panels. Its instruction set need not be the one whose tiles read them.</param>
    /// <param name="weight">[N, K]; for half-size panels their bits.</param>
    /// <param name="bias">[N], or empty for none.</param>
    public void PackRows(KernelContext context, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias)
    {
        CheckPacking(context, weight.Length, sizeof(float), bias);
        fixed (float* source = weight)
            Packing.FromRows(context, source, Depth, View);
        PackBias(bias);
    }

    /// <inheritdoc cref="PackRows(KernelContext, ReadOnlySpan{float}, ReadOnlySpan{float})"/>
    public void PackRows(KernelContext context, ReadOnlySpan<ushort> weight, ReadOnlySpan<float> bias)
    {
        CheckPacking(context, weight.Length, sizeof(ushort), bias);
        fixed (ushort* source = weight)
            Packing.Halves(context, source, Depth, 1, View);
        PackBias(bias);
    }

    /// <summary>Fills the memory from [K, N].</summary>
    /// <param name="context">Workers that share the panels. Its instruction set need not be the one whose tiles read them.</param>
    /// <param name="weight">[K, N]; for half-size panels their bits.</param>
    /// <param name="bias">[N], or empty for none.</param>
    public void PackColumns(KernelContext context, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias)
    {
        CheckPacking(context, weight.Length, sizeof(float), bias);
        fixed (float* source = weight)
            Packing.FromColumns(context, source, Columns, View);
        PackBias(bias);
    }

    /// <inheritdoc cref="PackColumns(KernelContext, ReadOnlySpan{float}, ReadOnlySpan{float})"/>
    public void PackColumns(KernelContext context, ReadOnlySpan<ushort> weight, ReadOnlySpan<float> bias)
    {
        CheckPacking(context, weight.Length, sizeof(ushort), bias);
        fixed (ushort* source = weight)
            Packing.Halves(context, source, 1, Columns, View);
        PackBias(bias);
    }

    private static PackedMatrix Create(KernelContext context, int columns, int depth)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        var shape = new PackedShape(columns, depth, GemmTable.Layout(context.Isa));
        var memory = FixedMemory.Pinned(shape.PanelBytes + shape.BiasBytes);
        return new PackedMatrix(shape, memory, memory.Slice(shape.PanelBytes, shape.BiasBytes));
    }

    private void CheckPacking(KernelContext context, int elements, int elementBytes, ReadOnlySpan<float> bias)
    {
        ArgumentNullException.ThrowIfNull(context);
        long needed = (long)Columns * Depth;
        Check.That(elementBytes == Shape.Type.ElementBytes(), $"weight has elements of {elementBytes} bytes, the panels are of type {Shape.Type}", "weight");
        Check.That(elements >= needed, $"weight needs {needed} elements, has {elements}", "weight");
        Check.That(bias.Length == 0 || bias.Length == Columns, $"bias has {bias.Length} values for {Columns} columns", nameof(bias));
    }

    private void PackBias(ReadOnlySpan<float> bias)
    {
        Span<float> target = _bias.Span<float>();
        bias.CopyTo(target);
        target[bias.Length..].Clear();
        CopyRows();
    }

    /// <summary>Panels to rows.</summary>
    private void CopyRows()
    {
        PackedView view = View;
        for (int i = 0; i < _rows?.Length; i++)
        {
            // Column j of the panel that begins at `first`, for k.
            int j = i / Depth, k = i % Depth, first = j / Layout.Width * Layout.Width;
            nint at = ((nint)first * Depth) + ((nint)k * view.WidthAt(first)) + (j - first);
            if (Shape.Type == PanelType.Single)
                _rows[i] = view.Panels[at];
            else
                Widening.Run<SimdScalar, float>(Shape.Type, (ushort*)view.Panels + at, (float*)Unsafe.AsPointer(ref _rows[i]), 1);
        }
    }
}

/// <summary>Addresses of a packed right side; <see cref="PackedMatrix"/> or scratch memory owns it.</summary>
internal readonly unsafe struct PackedView(float* panels, float* bias, int columns, int depth, PanelLayout layout, PanelType type = PanelType.Single)
{
    /// <summary>The first panel. Its numbers are floats only if <see cref="Type"/> says so.</summary>
    public readonly float* Panels = panels;

    public readonly float* Bias = bias;

    public readonly int Columns = columns;

    public readonly int Depth = depth;

    public readonly PanelLayout Layout = layout;

    public readonly PanelType Type = type;

    /// <summary>The same panels, to add to what C holds.</summary>
    public PackedView WithoutBias => new(Panels, null, Columns, Depth, Layout, Type);

    public int PaddedColumns => Layout.Padded(Columns);

    /// <summary>Address of an element of the panels.</summary>
    public float* At(nint element) => Type == PanelType.Single ? Panels + element : (float*)((ushort*)Panels + element);

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
