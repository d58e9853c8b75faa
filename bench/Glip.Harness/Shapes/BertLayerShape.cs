using Glip.Harness.Measuring;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Model;
using Glip.Managed.Model.Bert;
using Glip.Managed.Weights;

namespace Glip.Harness.Shapes;

/// <summary>A whole BERT encoder layer as the model runs it: queries, keys and values, attention, output, feed-forward, both norms.</summary>
internal sealed record BertLayerShape(int Tokens, int Channels, int Heads, int Intermediate) : KernelShape
{
    private const int UsualRatio = 4;

    public static KernelKind Grammar { get; } = new(
        "bert", "LxC",
        [
            MultiHeadAttentionShape.Grammar.Modifiers[0],
            new('f', "feed-forward", "width of a BERT layer's feed-forward part; default 4 C"),
        ],
        Create);

    public override KernelKind Kind => Grammar;

    public override string Text => $"{Tokens}x{Channels}"
        + (Heads == MultiHeadAttentionShape.DefaultHeads(Channels) ? "" : $"h{Heads}") + (Intermediate == UsualRatio * Channels ? "" : $"f{Intermediate}");

    public override long MultiplyAdds => checked(((long)Tokens * Channels * ((4L * Channels) + (2L * Intermediate))) + (2L * Tokens * Tokens * Channels));

    public override Action Prepare(KernelContext context)
    {
        BertLayer layer = Layer(context);
        var x = AlignedFloats.Noise((long)Tokens * Channels);
        using var noWorkers = new WorkerPool(1);
        var plan = new ForwardPass(new KernelContext(context.Isa, noWorkers, planning: true), Workspace.CreatePlanning());
        layer.Forward(plan, x.Span, Tokens);
        var pass = new ForwardPass(context, Workspace.Create());
        pass.Workspace.Reserve(plan.Workspace.PeakFloats);
        return () => layer.Forward(pass, x.Span, Tokens);
    }

    /// <summary>The layer with weights by formula. Only what it reads is made, so a published model around it costs nothing.</summary>
    private BertLayer Layer(KernelContext context)
    {
        var bert = new BertConfig { HiddenSize = Channels, Layers = 1, Heads = Heads, IntermediateSize = Intermediate, VocabularySize = 1, MaxPositions = 1 };
        using var weights = new ProceduralWeights(GlipConfig.Published("glip-t-a") with { Bert = bert }, 1, default);
        return new BertLayer(new WeightReader(weights, context, "language_backbone.body.model.encoder.layer.0."), bert);
    }

    private static BertLayerShape Create(ShapeNumbers n)
    {
        int heads = n['h', MultiHeadAttentionShape.DefaultHeads(n[1])], intermediate = n['f', UsualRatio * n[1]];
        ShapeChecks.Heads(n[1], heads);
        if (intermediate < 1)
            throw new UsageException($"a BERT layer needs a feed-forward part of at least 1 channel, found {intermediate}");
        return new BertLayerShape(n[0], n[1], heads, intermediate);
    }
}
