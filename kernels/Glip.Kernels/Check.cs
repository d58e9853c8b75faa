using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Argument checks at kernels' public doors. Every throw stands here, so that checked methods stay small.</summary>
internal static class Check
{
    /// <summary>Demands at least <paramref name="needed"/> elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Length(ReadOnlySpan<float> span, long needed, string name)
    {
        if (span.Length < needed)
            TooShort(name, needed, span.Length);
    }

    /// <summary>Demands that a packed matrix has the width of this instruction set's tile, and the depth of its input.</summary>
    public static void Packed(KernelContext context, PackedMatrix matrix, int depth, string name)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(matrix, name);
        if (matrix.PanelWidth != GemmTable.PanelWidth(context.Isa))
            throw new ArgumentException($"{name} was packed {matrix.PanelWidth} wide, {context.Isa.Name()} needs {GemmTable.PanelWidth(context.Isa)}", name);
        if (matrix.Depth != depth)
            throw new ArgumentException($"{name} has depth {matrix.Depth}, its input has {depth} values", name);
    }

    /// <summary>Demands that a packed matrix has <paramref name="columns"/> columns.</summary>
    public static void Columns(PackedMatrix matrix, int columns, string name)
    {
        if (matrix.Columns != columns)
            throw new ArgumentException($"{name} has {matrix.Columns} columns, expected {columns}", name);
    }

    /// <summary>Demands that <paramref name="parts"/> is positive and divides <paramref name="channels"/>.</summary>
    public static void Divides(int parts, int channels, string name)
    {
        if (parts < 1 || channels % parts != 0)
            throw new ArgumentException($"{channels} channels do not divide into {parts} parts", name);
    }

    /// <summary>Demands a smallest value.</summary>
    public static void AtLeast(int value, int least, string name)
    {
        if (value < least)
            throw new ArgumentOutOfRangeException(name, value, $"must be at least {least}");
    }

    [DoesNotReturn]
    private static void TooShort(string name, long needed, int found) =>
        throw new ArgumentException($"{name} needs {needed} elements, has {found}", name);
}
