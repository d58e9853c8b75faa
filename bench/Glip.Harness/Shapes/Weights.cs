using Glip.Harness.Measuring;
using Glip.Kernels;

namespace Glip.Harness.Shapes;

/// <summary>Weights that mean nothing, of the size that keeps sums of <c>depth</c> products near one.</summary>
internal static class Weights
{
    public static PackedMatrix Packed(KernelContext context, int columns, int depth)
    {
        var weight = AlignedFloats.Noise((long)columns * depth, 1 / MathF.Sqrt(depth));
        return PackedMatrix.FromRows(context, weight.Span, columns, depth, AlignedFloats.Noise(columns, 0.1f).Span);
    }
}
