using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>
/// A matrix on its way from a checkpoint into panels: in single precision, or half-size as the checkpoint has it. The latter can be cut and reordered, but not computed
/// with: what it becomes must be the numbers that were stored.
/// </summary>
internal abstract class LooseMatrix
{
    /// <summary>Type of the elements.</summary>
    public abstract PanelType Type { get; }

    /// <summary>A matrix in single precision.</summary>
    public static LooseMatrix Of(float[] elements, int columns) => new Elements<float>(PanelType.Single, elements, columns);

    /// <summary>A half-size matrix.</summary>
    public static LooseMatrix Of(PanelType type, ushort[] elements, int columns) => new Elements<ushort>(type, elements, columns);

    /// <summary>Matrices of one type and as many columns, one below the other.</summary>
    public static LooseMatrix Stack(params LooseMatrix[] parts) => parts[0].Below(parts);

    /// <summary>True if all have one type, so that they can be stacked.</summary>
    public static bool SameType(params ReadOnlySpan<LooseMatrix> parts)
    {
        foreach (LooseMatrix part in parts)
        {
            if (part.Type != parts[0].Type)
                return false;
        }

        return true;
    }

    /// <summary>Some rows.</summary>
    public abstract LooseMatrix Rows(int first, int count);

    /// <summary>Some columns.</summary>
    public abstract LooseMatrix Columns(int first, int count);

    /// <summary>A convolution's rows [C, cells] turned to [cells, C]; see <see cref="Conv2d.ToChannelsLast"/>.</summary>
    public abstract LooseMatrix ToChannelsLast(int cells);

    /// <summary>Packs rows, one for each column of the product, or columns.</summary>
    public abstract void PackInto(PackedMatrix matrix, KernelContext kernels, ReadOnlySpan<float> bias, bool columns);

    /// <summary>Packs a 3×3 convolution's rows [O, C·9].</summary>
    public abstract void PackInto(WinogradFilter filter, KernelContext kernels, ReadOnlySpan<float> bias);

    protected abstract LooseMatrix Below(LooseMatrix[] parts);

    private sealed class Elements<T>(PanelType type, T[] values, int width) : LooseMatrix
        where T : unmanaged
    {
        private readonly T[] _values = values;

        public override PanelType Type => type;

        public override LooseMatrix Rows(int first, int count) => With(_values.AsSpan(first * width, count * width).ToArray(), width);

        public override LooseMatrix Columns(int first, int count)
        {
            int rows = _values.Length / width;
            var result = new T[rows * count];
            for (int row = 0; row < rows; row++)
                _values.AsSpan((row * width) + first, count).CopyTo(result.AsSpan(row * count));
            return With(result, count);
        }

        public override LooseMatrix ToChannelsLast(int cells) =>
            With(Conv2d.ToChannelsLast<T>(_values, _values.Length / width, width / cells, cells), width);

        public override void PackInto(PackedMatrix matrix, KernelContext kernels, ReadOnlySpan<float> bias, bool columns)
        {
            if (_values is float[] singles && columns)
                matrix.PackColumns(kernels, singles, bias);
            else if (_values is float[] singleRows)
                matrix.PackRows(kernels, singleRows, bias);
            else if (columns)
                matrix.PackColumns(kernels, (ushort[])(object)_values, bias);
            else
                matrix.PackRows(kernels, (ushort[])(object)_values, bias);
        }

        public override void PackInto(WinogradFilter filter, KernelContext kernels, ReadOnlySpan<float> bias)
        {
            if (_values is float[] singles)
                filter.Fill(kernels, singles, bias);
            else
                filter.Fill(kernels, (ushort[])(object)_values, bias);
        }

        protected override LooseMatrix Below(LooseMatrix[] parts) => With([.. parts.SelectMany(p => ((Elements<T>)p)._values)], width);

        private Elements<T> With(T[] elements, int columns) => new(type, elements, columns);
    }
}
