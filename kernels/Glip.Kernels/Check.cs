using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Argument checks at kernels' public doors. Every throw stands here, so that checked methods stay small.</summary>
internal static class Check
{
    /// <summary>Demands at least <paramref name="needed"/> elements; a negative number, from negative sizes, is refused too.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Length(ReadOnlySpan<float> span, long needed, string name)
    {
        if ((ulong)span.Length < (ulong)needed)
            TooShort(name, needed, span.Length);
    }

    /// <summary>Demands that a packed matrix has the width of this instruction set's tile, and the depth of its input.</summary>
    public static void Packed(KernelContext context, PackedMatrix matrix, int depth, string name)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(matrix, name);
        Packed(context, matrix.Layout, name);
        if (matrix.Depth != depth)
            throw new ArgumentException($"{name} has depth {matrix.Depth}, its input has {depth} values", name);
    }

    /// <summary>Demands the width of this instruction set's tile.</summary>
    public static void Packed(KernelContext context, PanelLayout layout, string name)
    {
        if (layout != GemmTable.Layout(context.Isa))
            throw new ArgumentException($"{name} was packed {layout.Width} wide, {context.Isa.Name()} needs {GemmTable.Layout(context.Isa).Width}", name);
    }

    /// <summary>Demands a condition between arguments. The message is only put together if it fails.</summary>
    public static void That(
        [DoesNotReturnIf(false)] bool condition, [InterpolatedStringHandlerArgument(nameof(condition))] ref FailureMessage message, string name)
    {
        if (!condition)
            throw new ArgumentException(message.ToStringAndClear(), name);
    }

    [DoesNotReturn]
    private static void TooShort(string name, long needed, int found) =>
        throw new ArgumentException($"{name} needs {needed} elements, has {found}", name);
}

/// <summary>An interpolated string that costs nothing while its condition holds.</summary>
[InterpolatedStringHandler]
internal ref struct FailureMessage
{
    private DefaultInterpolatedStringHandler _text;

    public FailureMessage(int literalLength, int formattedCount, bool condition, out bool wanted)
    {
        wanted = !condition;
        _text = wanted ? new DefaultInterpolatedStringHandler(literalLength, formattedCount, System.Globalization.CultureInfo.InvariantCulture) : default;
    }

    public void AppendLiteral(string value) => _text.AppendLiteral(value);

    public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

    public string ToStringAndClear() => _text.ToStringAndClear();
}
