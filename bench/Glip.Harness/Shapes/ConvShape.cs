using Glip.Harness.Measuring;
using Glip.Kernels;

namespace Glip.Harness.Shapes;

/// <summary>A dense convolution by the method that models use: <see cref="WinogradConv2d"/> where it suits, else <see cref="Conv2d"/>. An odd kernel is padded to keep the map's size at stride 1, an even one is not padded.</summary>
internal sealed record ConvShape(int Height, int Width, int Inputs, int Outputs, int Kernel = 3, int Stride = 1, bool Planar = false) : KernelShape
{
    public static KernelKind Grammar { get; } = new(
        "conv", "HxWxCINxCOUT",
        [
            new('k', "kernel", "side of the convolution's window; default 3"),
            new('s', "stride", "cells between outputs; default 1"),
            new('p', "planar", "1 to write channel planes, 0 (the default) for channels last"),
        ],
        Create);

    public override KernelKind Kind => Grammar;

    public override string Text => $"{Height}x{Width}x{Inputs}x{Outputs}"
        + (Kernel == 3 ? "" : $"k{Kernel}") + (Stride == 1 ? "" : $"s{Stride}") + (Planar ? "p1" : "");

    public override long MultiplyAdds => checked((long)OutputCells * Kernel * Kernel * Inputs * Outputs);

    public override long Executed => WinogradConv2d.Suits(Window) ? WinogradConv2d.MultiplyAdds(Height, Width, Inputs, Outputs) : MultiplyAdds;

    private ConvWindow Window => new(Kernel, Stride, Kernel % 2 == 1 ? Kernel / 2 : 0);

    private int OutputCells => checked(Window.Output(Height) * Window.Output(Width));

    public override Action Prepare(KernelContext context)
    {
        var x = AlignedFloats.Noise((long)Height * Width * Inputs);
        var y = new AlignedFloats((long)OutputCells * Outputs);
        if (WinogradConv2d.Suits(Window))
        {
            var filter = WinogradFilter.Pack(context, AlignedFloats.Noise(9L * Outputs * Inputs).Span, Outputs, Inputs, []);
            return () => WinogradConv2d.Forward(context, x.Span, Height, Width, filter, y.Span, Planar);
        }

        PackedMatrix weight = Weights.Packed(context, Outputs, checked(Kernel * Kernel * Inputs));
        return () => Conv2d.Forward(context, x.Span, Height, Width, Inputs, Window, weight, y.Span, planar: Planar);
    }

    private static ConvShape Create(ShapeNumbers n)
    {
        int kernel = n['k', 3], stride = n['s', 1], planar = n['p', 0];
        if (kernel is < 1 or > 31 || stride is < 1 or > 31 || planar > 1)
            throw new UsageException($"a convolution needs a kernel and a stride of 1 to 31 and planar 0 or 1, found {kernel}, {stride} and {planar}");
        var shape = new ConvShape(n[0], n[1], n[2], n[3], kernel, stride, planar == 1);
        if (shape.OutputCells == 0)
            throw new UsageException($"a {kernel}x{kernel} window does not fit a map of {n[0]}x{n[1]} cells");
        return shape;
    }
}
