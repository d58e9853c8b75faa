using Glip.Managed.Model;

namespace Glip.Managed.Weights;

/// <summary>One parameter of a model.</summary>
/// <param name="Name">The checkpoint's name, without a <c>module.</c> prefix.</param>
/// <param name="Shape">Dimensions, outermost first.</param>
public sealed record ModelParameter(string Name, int[] Shape);

/// <summary>
/// Which parameters a model of given sizes has, by the names that the original's checkpoints use. Buffers that can be
/// computed (relative position indices, position ids, anchors) and the unused <c>rpn.head.cls_logits</c> are not among them.
/// </summary>
public static class ParameterList
{
    private const int TokenTypes = 2;
    private const int DyConvBranches = 3;
    private const int OffsetChannels = 27; // (dy, dx, mask) for each cell of a 3x3 kernel
    private const int DyReluReduction = 4;
    private const int DyReluCoefficients = 4;

    /// <summary>All parameters that inference needs, in the order of the original's state dict.</summary>
    /// <remarks>Enumerated lazily: a reader that stops at the first parameter it cannot find pays for no more, whatever the sizes say.</remarks>
    /// <exception cref="GlipFormatException">While enumerating: a size is beyond what a tensor can have.</exception>
    public static IEnumerable<ModelParameter> Of(GlipConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        IEnumerable<ModelParameter[]>[] parts = [Swin(config.Swin), Fpn(config), Bert(config.Bert), Head(config)];
        return parts.SelectMany(blocks => blocks).SelectMany(block => block);
    }

    private static IEnumerable<ModelParameter[]> Swin(SwinConfig swin)
    {
        const string body = "backbone.body";
        yield return Convolution($"{body}.patch_embed.proj", swin.EmbedDim, 3, 4);
        yield return Affine($"{body}.patch_embed.norm", swin.EmbedDim);

        int width = swin.EmbedDim;
        for (int stage = 0; stage < 4; stage++)
        {
            string layer = $"{body}.layers.{stage}";
            for (int i = 0; i < swin.Depths[stage]; i++)
                yield return SwinBlock($"{layer}.blocks.{i}", width, swin.Heads[stage], swin.WindowSize);
            if (stage == 3)
                break;
            yield return
            [
                new($"{layer}.downsample.reduction.weight", [Times(2, width), Times(4, width)]),
                .. Affine($"{layer}.downsample.norm", Times(4, width)),
            ];
            width = Times(2, width);
        }

        // Stage 0 has no norm of its own; nobody reads its output.
        for (int stage = 1; stage < 4; stage++)
            yield return Affine($"{body}.norm{stage}", swin.Width(stage));
    }

    private static ModelParameter[] SwinBlock(string block, int width, int heads, int window)
    {
        int side = Times(2, window) - 1;
        return
        [
            .. Affine($"{block}.norm1", width),
            new($"{block}.attn.relative_position_bias_table", [Times(side, side), heads]),
            .. Linear($"{block}.attn.qkv", Times(3, width), width),
            .. Linear($"{block}.attn.proj", width, width),
            .. Affine($"{block}.norm2", width),
            .. Linear($"{block}.mlp.fc1", Times(4, width), width),
            .. Linear($"{block}.mlp.fc2", width, Times(4, width)),
        ];
    }

    private static IEnumerable<ModelParameter[]> Fpn(GlipConfig config)
    {
        // The numbers 2..4 in the names mean C3..C5, the outputs of stages 1..3.
        for (int level = 2; level <= 4; level++)
        {
            yield return Convolution($"backbone.fpn.fpn_inner{level}", config.Channels, config.Swin.Width(level - 1), 1);
            yield return Convolution($"backbone.fpn.fpn_layer{level}", config.Channels, config.Channels, 3);
        }

        yield return Convolution("backbone.fpn.top_blocks.p6", config.Channels, config.Channels, 3);
        yield return Convolution("backbone.fpn.top_blocks.p7", config.Channels, config.Channels, 3);
    }

    private static IEnumerable<ModelParameter[]> Bert(BertConfig bert)
    {
        const string model = "language_backbone.body.model";
        yield return
        [
            new($"{model}.embeddings.word_embeddings.weight", [bert.VocabularySize, bert.HiddenSize]),
            new($"{model}.embeddings.position_embeddings.weight", [bert.MaxPositions, bert.HiddenSize]),
            new($"{model}.embeddings.token_type_embeddings.weight", [TokenTypes, bert.HiddenSize]),
            .. Affine($"{model}.embeddings.LayerNorm", bert.HiddenSize),
        ];
        for (int i = 0; i < bert.Layers; i++)
            yield return BertLayer($"{model}.encoder.layer.{i}", bert);
    }

    private static ModelParameter[] BertLayer(string layer, BertConfig bert) =>
    [
        .. Linear($"{layer}.attention.self.query", bert.HiddenSize, bert.HiddenSize),
        .. Linear($"{layer}.attention.self.key", bert.HiddenSize, bert.HiddenSize),
        .. Linear($"{layer}.attention.self.value", bert.HiddenSize, bert.HiddenSize),
        .. Linear($"{layer}.attention.output.dense", bert.HiddenSize, bert.HiddenSize),
        .. Affine($"{layer}.attention.output.LayerNorm", bert.HiddenSize),
        .. Linear($"{layer}.intermediate.dense", bert.IntermediateSize, bert.HiddenSize),
        .. Linear($"{layer}.output.dense", bert.HiddenSize, bert.IntermediateSize),
        .. Affine($"{layer}.output.LayerNorm", bert.HiddenSize),
    ];

    private static IEnumerable<ModelParameter[]> Head(GlipConfig config)
    {
        const string head = "rpn.head";
        int hidden = config.Bert.HiddenSize;
        yield return [new($"{head}.log_scale", [1]), new($"{head}.bias_lang", [hidden]), new($"{head}.bias0", [1])];

        int module = 0;
        for (int layer = 0; layer < config.NumConvs; layer++)
        {
            if (config is { EarlyFuse: true, Fusion: { } fusion })
            {
                yield return Fusion($"{head}.dyhead_tower.{module++}.b_attn", config.Channels, hidden, fusion.EmbedDim);
                yield return BertLayer($"{head}.dyhead_tower.{module++}", config.Bert);
            }

            yield return DyConv($"{head}.dyhead_tower.{module++}", config.Channels);
        }

        yield return Convolution($"{head}.bbox_pred", 4, config.Channels, 1);
        yield return Convolution($"{head}.centerness", 1, config.Channels, 1);
        yield return Linear($"{head}.dot_product_projection_text", config.Channels, hidden);
        for (int level = 0; level < config.Levels; level++)
            yield return [new($"{head}.scales.{level}.scale", [1])];
    }

    private static ModelParameter[] Fusion(string block, int channels, int hidden, int inner) =>
    [
        new($"{block}.gamma_v", [channels]),
        new($"{block}.gamma_l", [hidden]),
        .. Affine($"{block}.layer_norm_v", channels),
        .. Affine($"{block}.layer_norm_l", hidden),
        .. Linear($"{block}.attn.v_proj", inner, channels),
        .. Linear($"{block}.attn.l_proj", inner, hidden),
        .. Linear($"{block}.attn.values_v_proj", inner, channels),
        .. Linear($"{block}.attn.values_l_proj", inner, hidden),
        .. Linear($"{block}.attn.out_v_proj", channels, inner),
        .. Linear($"{block}.attn.out_l_proj", hidden, inner),
    ];

    private static ModelParameter[] DyConv(string block, int channels) =>
    [
        .. Enumerable.Range(0, DyConvBranches).SelectMany(branch => (ModelParameter[])
        [
            .. Convolution($"{block}.DyConv.{branch}.conv", channels, channels, 3),
            .. Affine($"{block}.DyConv.{branch}.bn", channels),
        ]),
        .. Convolution($"{block}.AttnConv.1", 1, channels, 1),
        .. Linear($"{block}.relu.fc.0", channels / DyReluReduction, channels),
        .. Linear($"{block}.relu.fc.2", Times(DyReluCoefficients, channels), channels / DyReluReduction),
        .. Convolution($"{block}.offset", OffsetChannels, channels, 3),
    ];

    private static ModelParameter[] Linear(string name, int outputs, int inputs) =>
        [new($"{name}.weight", [outputs, inputs]), new($"{name}.bias", [outputs])];

    private static ModelParameter[] Convolution(string name, int outputs, int inputs, int kernel) =>
        [new($"{name}.weight", [outputs, inputs, kernel, kernel]), new($"{name}.bias", [outputs])];

    private static ModelParameter[] Affine(string name, int width) => [new($"{name}.weight", [width]), new($"{name}.bias", [width])];

    private static int Times(int a, int b) =>
        (long)a * b is <= int.MaxValue and var product
            ? (int)product
            : throw new GlipFormatException($"the configuration asks for a dimension of {a} x {b}, the limit is {int.MaxValue}");
}
