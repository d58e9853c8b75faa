using Glip.Harness.Measuring;
using Glip.Kernels;

namespace Glip.Harness.Shapes;

/// <summary>Scores, softmax and weighted values of a sequence, <see cref="MultiHeadAttention.Forward"/>, without the projections around it.</summary>
internal sealed record MultiHeadAttentionShape(int Tokens, int Channels, int Heads) : KernelShape
{
    private const int UsualHeadDim = 64;

    public static KernelKind Grammar { get; } = new(
        "mha", "LxC", [new('h', "heads", WindowAttentionShape.Grammar.Modifiers[0].Description)], Create);

    public override KernelKind Kind => Grammar;

    public override string Text => $"{Tokens}x{Channels}" + (Heads == DefaultHeads(Channels) ? "" : $"h{Heads}");

    public override long MultiplyAdds => checked(2L * Tokens * Tokens * Channels);

    /// <summary>BERT's heads are 64 channels wide.</summary>
    public static int DefaultHeads(int channels) => Math.Max(1, channels / UsualHeadDim);

    public override Action Prepare(KernelContext context)
    {
        var qkv = AlignedFloats.Noise(3L * Tokens * Channels);
        var y = new AlignedFloats((long)Tokens * Channels);
        return () => MultiHeadAttention.Forward(context, qkv.Span, Tokens, Channels, Heads, float.PositiveInfinity, [], y.Span);
    }

    private static MultiHeadAttentionShape Create(ShapeNumbers n)
    {
        int heads = n['h', DefaultHeads(n[1])];
        ShapeChecks.Heads(n[1], heads);
        return new MultiHeadAttentionShape(n[0], n[1], heads);
    }
}
