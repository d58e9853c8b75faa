using Glip.Harness.Measuring;
using Glip.Kernels;

namespace Glip.Harness.Shapes;

/// <summary>The visual side of the fusion's attention in both directions, <see cref="BiAttention.Forward"/>: N cells of C channels and L text tokens.</summary>
internal sealed record BiAttentionShape(int Cells, int Channels, int Tokens, int Heads = BiAttentionShape.DefaultHeads) : KernelShape
{
    private const int DefaultHeads = 8;
    private const float Clamp = 50000;

    // The image side is updated in place in each call and must not grow over thousands of them.
    private const float UpdateSize = 1e-3f;

    public static KernelKind Grammar { get; } = new(
        "bi", "NxCxL", [new('h', "heads", WindowAttentionShape.Grammar.Modifiers[0].Description)], Create);

    public override KernelKind Kind => Grammar;

    public override string Text => $"{Cells}x{Channels}x{Tokens}" + (Heads == DefaultHeads ? "" : $"h{Heads}");

    // Scores, the image side's weighted values and the text side's weighted sums.
    public override long MultiplyAdds => checked(3L * Cells * Channels * HeadTokens);

    private int HeadTokens => checked(Heads * Tokens);

    public override Action Prepare(KernelContext context)
    {
        int headTokens = HeadTokens;
        var x = AlignedFloats.Noise((long)Cells * Channels);
        var scoreWeights = AlignedFloats.Noise((long)headTokens * Channels, 1 / MathF.Sqrt(Channels));
        var scoreBias = AlignedFloats.Noise(headTokens);
        var valueWeights = AlignedFloats.Noise((long)headTokens * Channels, UpdateSize);
        var outputBias = AlignedFloats.Noise(Channels, UpdateSize);
        var workspace = new AlignedFloats(BiAttention.WorkspaceFloats(context, Cells, Channels, Heads, Tokens));
        var y = new AlignedFloats((long)headTokens * Channels);
        return () => BiAttention.Forward(
            context, x.Span, Cells, Channels, Heads, Tokens, Tokens, scoreWeights.Span, scoreBias.Span, valueWeights.Span, outputBias.Span, Clamp, workspace.Span, y.Span);
    }

    private static BiAttentionShape Create(ShapeNumbers n)
    {
        int heads = n['h', DefaultHeads];
        if (heads is < 1 or > 1024)
            throw new UsageException($"fusion attention needs 1 to 1024 heads, found {heads}");
        return new BiAttentionShape(n[0], n[1], n[2], heads);
    }
}
