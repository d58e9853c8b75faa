using Glip.Harness.Measuring;
using Glip.Kernels;

namespace Glip.Harness.Shapes;

/// <summary>
/// A modulated deformable 3×3 convolution, <see cref="ModulatedDeformConv2d.Forward"/>, with the moments that the following group norm reads, as the model calls it.
/// Offsets are ± 2 cells, masks 0…1.
/// </summary>
internal sealed record DcnShape(int Height, int Width, int Inputs, int Outputs, int Stride = 1) : KernelShape
{
    private const float LargestOffset = 2;

    public static KernelKind Grammar { get; } = new("dcn", "HxWxCINxCOUT", [new('s', "stride", "cells between outputs, 1 (the default) or 2")], Create);

    public override KernelKind Kind => Grammar;

    public override string Text => $"{Height}x{Width}x{Inputs}x{Outputs}" + (Stride == 1 ? "" : $"s{Stride}");

    public override long MultiplyAdds => checked((long)OutputCells * ModulatedDeformConv2d.Taps * Inputs * Outputs);

    private int OutputCells => checked(((Height + Stride - 1) / Stride) * ((Width + Stride - 1) / Stride));

    public override Action Prepare(KernelContext context)
    {
        int cells = OutputCells;
        var x = AlignedFloats.Noise((long)Height * Width * Inputs);
        var offsets = AlignedFloats.Noise((long)ModulatedDeformConv2d.OffsetChannels * cells, LargestOffset);
        var masks = AlignedFloats.Noise((long)ModulatedDeformConv2d.Taps * cells);
        foreach (ref float mask in masks.Span)
            mask = Math.Abs(mask);
        var y = new AlignedFloats((long)cells * Outputs);
        var moments = new AlignedFloats(ChannelMoments.PartialFloats(cells, Outputs));
        PackedMatrix weight = Weights.Packed(context, Outputs, ModulatedDeformConv2d.Taps * Inputs);
        return () => ModulatedDeformConv2d.Forward(
            context, x.Span, Height, Width, Inputs, Stride, offsets.Span, masks.Span, weight, y.Span, moments.Span);
    }

    private static DcnShape Create(ShapeNumbers n)
    {
        int stride = n['s', 1];
        if (stride is not (1 or 2))
            throw new UsageException($"a deformable convolution has stride 1 or 2, found {stride}");
        return new DcnShape(n[0], n[1], n[2], n[3], stride);
    }
}
