using Glip.Harness.Measuring;
using Glip.Kernels;

namespace Glip.Harness.Shapes;

/// <summary>The attention half of a Swin block, <see cref="WindowAttention.Forward"/>: norm, queries, keys and values, scores, weighted values, projection and residual.</summary>
internal sealed record WindowAttentionShape(int Height, int Width, int Channels, int Heads, int Window = WindowAttentionShape.DefaultWindow, int Shift = 0) : KernelShape
{
    private const int DefaultWindow = 7;
    private const int UsualHeadDim = 32;
    private const float NormEpsilon = 1e-5f;

    // A residual that is added to in each call must not grow without bounds over thousands of them.
    private const float ProjectionSize = 1e-3f;

    public static KernelKind Grammar { get; } = new(
        "window", "HxWxC",
        [
            new('h', "heads", "attention heads; default C / 32 (window), C / 64 (bert, mha), 8 (bi)"),
            new('w', "window", "side of a window in cells; default 7"),
            new('s', "shift", "cells by which windows are shifted; default 0"),
        ],
        Create);

    public override KernelKind Kind => Grammar;

    public override string Text => $"{Height}x{Width}x{Channels}"
        + (Heads == DefaultHeads(Channels) ? "" : $"h{Heads}") + (Window == DefaultWindow ? "" : $"w{Window}") + (Shift == 0 ? "" : $"s{Shift}");

    /// <summary>Cells of the map once it is padded to whole windows.</summary>
    public long PaddedCells => (long)Sizes.Windows * Sizes.Tokens;

    public override long MultiplyAdds => checked(PaddedCells * Channels * ((4L * Channels) + (2L * Sizes.Tokens)));

    public override long Executed => WindowAttention.MultiplyAdds(Sizes);

    private WindowShape Sizes => new(Height, Width, Channels, Heads, Window, Shift);

    public override Action Prepare(KernelContext context)
    {
        int side = (2 * Window) - 1;
        WindowShape sizes = Sizes;
        var x = AlignedFloats.Noise((long)Height * Width * Channels);
        var gamma = AlignedFloats.Noise(Channels);
        var beta = AlignedFloats.Noise(Channels);
        float[] bias = WindowAttention.ExpandBias(context, AlignedFloats.Noise((long)side * side * Heads, 0.6f).Span, Window, Heads);
        PackedMatrix qkv = Weights.Packed(context, 3 * Channels, Channels);
        PackedMatrix projection = PackedMatrix.FromRows(
            context, AlignedFloats.Noise((long)Channels * Channels, ProjectionSize).Span, Channels, Channels, AlignedFloats.Noise(Channels, ProjectionSize).Span);
        return () => WindowAttention.Forward(context, x.Span, sizes, gamma.Span, beta.Span, NormEpsilon, qkv, bias, projection);
    }

    private static int DefaultHeads(int channels) => Math.Max(1, channels / UsualHeadDim);

    private static WindowAttentionShape Create(ShapeNumbers n)
    {
        int heads = n['h', DefaultHeads(n[2])], window = n['w', DefaultWindow], shift = n['s', 0];
        ShapeChecks.Heads(n[2], heads);
        if (window is < 1 or > 64 || shift >= window)
            throw new UsageException($"window attention needs a window of 1 to 64 cells and a shift below it, found {window} and {shift}");
        return new WindowAttentionShape(n[0], n[1], n[2], heads, window, shift);
    }
}
