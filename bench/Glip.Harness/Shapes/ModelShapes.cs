using Glip.Managed.Imaging;
using Glip.Managed.Model;
using Glip.Managed.Weights;

namespace Glip.Harness.Shapes;

/// <summary>A kernel's place in a model.</summary>
/// <param name="Stage">The part of the network, as profiles call it: <c>swin.stage2</c>.</param>
/// <param name="Part">The layer: <c>qkv</c>.</param>
/// <param name="Shape">Kernel and size.</param>
/// <param name="Count">How often it occurs in one picture.</param>
/// <param name="Inside">The kernel whose row already has this one's arithmetic, or empty.</param>
internal sealed record ShapeUse(string Stage, string Part, KernelShape Shape, int Count, string Inside)
{
    /// <summary>Multiply-adds of all its occurrences, by the direct algorithm.</summary>
    public long MultiplyAdds => Count * Shape.MultiplyAdds;

    /// <summary>Multiply-adds of all its occurrences, as executed.</summary>
    public long Executed => Count * Shape.Executed;
}

/// <summary>Every matrix product, convolution and attention of a model for one picture size and prompt length.</summary>
/// <remarks>
/// Columns and depths come from the model's list of parameters, rows from its geometry. The sum of what the rows that are not inside others execute
/// is what the model itself counts; a test compares the two.
/// </remarks>
internal sealed class ModelShapes
{
    private const int Stages = 4;

    private readonly Dictionary<string, int[]> _parameters;
    private readonly GlipConfig _config;
    private readonly int _tokens;
    private readonly List<ShapeUse> _uses = [];

    private ModelShapes(GlipConfig config, int tokens)
    {
        _config = config;
        _tokens = tokens;
        _parameters = ParameterList.Of(config).ToDictionary(p => p.Name, p => p.Shape, StringComparer.Ordinal);
    }

    /// <summary>Lists a model's shapes in the order of its layers.</summary>
    /// <param name="config">The model.</param>
    /// <param name="height">Rows of the picture, which is padded but not resized.</param>
    /// <param name="width">Columns of the picture.</param>
    /// <param name="tokens">Text tokens, specials included.</param>
    /// <param name="scored">How many of them speak for a label and get logits; null for every other one between [CLS] and [SEP], as in "person . dog .".</param>
    /// <exception cref="UsageException">More tokens than the model reads.</exception>
    /// <exception cref="ArgumentException">A picture that no model takes.</exception>
    public static IReadOnlyList<ShapeUse> Of(GlipConfig config, int height, int width, int tokens, int? scored = null)
    {
        if (tokens < 1 || tokens > config.MaxQueryLength)
            throw new UsageException($"{config.Name} reads 1 to {config.MaxQueryLength} tokens, found {tokens}");
        var geometry = ImageGeometry.Plan(height, width, 0, 0, config.SizeDivisibility);
        var image = new MapSize(geometry.PaddedHeight, geometry.PaddedWidth);
        var pyramid = new Pyramid(new MapSize(image.Height / config.FirstStride, image.Width / config.FirstStride), config.Levels);
        var shapes = new ModelShapes(config, tokens);
        shapes.Bert("bert", "language_backbone.body.model.encoder.layer.0", config.Bert.Layers);
        shapes.Swin(image);
        shapes.FeaturePyramid(pyramid);
        if (config.EarlyFuse)
        {
            shapes.Fusion(pyramid.Cells);
            shapes.Bert("text layers", "rpn.head.dyhead_tower.1", config.NumConvs);
        }

        shapes.DyConv(pyramid);
        shapes.Head(pyramid, scored ?? Math.Max((tokens - 1) / 2, 1));
        return shapes._uses;
    }

    private void Bert(string stage, string layer, int layers)
    {
        BertConfig bert = _config.Bert;
        Add(stage, "layer", new BertLayerShape(_tokens, bert.HiddenSize, bert.Heads, bert.IntermediateSize), layers);
        Add(stage, "query, key, value", new GemmShape(_tokens, 3 * bert.HiddenSize, bert.HiddenSize), layers, BertLayerShape.Grammar);
        Add(stage, "attention", new MultiHeadAttentionShape(_tokens, bert.HiddenSize, bert.Heads), layers, BertLayerShape.Grammar);
        foreach (string part in (string[])["attention.output", "intermediate", "output"])
            Add(stage, part, Linear($"{layer}.{part}.dense", _tokens), layers, BertLayerShape.Grammar);
    }

    private void Swin(MapSize image)
    {
        SwinConfig swin = _config.Swin;
        int[] patch = _parameters["backbone.body.patch_embed.proj.weight"];
        int side = patch[2];
        var size = new MapSize(image.Height / side, image.Width / side);
        Add("swin.stage0", "patch embedding", new ConvShape(image.Height, image.Width, patch[1], patch[0], side, side), 1);
        Add("swin.stage0", "patch embedding", new GemmShape(size.Cells, patch[0], patch[1] * side * side), 1, ConvShape.Grammar);
        for (int s = 0; s < Stages; s++)
        {
            string stage = $"swin.stage{s}", block = $"backbone.body.layers.{s}.blocks.0";
            int depth = swin.Depths[s], shifted = depth / 2;
            if (s > 0)
            {
                size = size.Halved;
                Add(stage, "patch merging", Linear($"backbone.body.layers.{s - 1}.downsample.reduction", size.Cells), 1);
            }

            var attention = new WindowAttentionShape(size.Height, size.Width, swin.Width(s), swin.Heads[s], swin.WindowSize);
            int cells = checked((int)attention.PaddedCells);
            Add(stage, "attention", attention, depth - shifted);
            Add(stage, "attention, shifted", attention with { Shift = swin.WindowSize / 2 }, shifted);
            Add(stage, "qkv", Linear($"{block}.attn.qkv", cells), depth, WindowAttentionShape.Grammar);
            Add(stage, "proj", Linear($"{block}.attn.proj", cells), depth, WindowAttentionShape.Grammar);
            Add(stage, "fc1", Linear($"{block}.mlp.fc1", size.Cells), depth);
            Add(stage, "fc2", Linear($"{block}.mlp.fc2", size.Cells), depth);
        }
    }

    private void FeaturePyramid(Pyramid pyramid)
    {
        for (int level = 0; level < 3; level++)
        {
            // The checkpoint counts from the second stage: fpn_inner2 reads C3.
            Add("fpn", $"lateral {Pyramid.Name(level)}", Linear($"backbone.fpn.fpn_inner{level + 2}", pyramid[level].Cells), 1);
            Add("fpn", Pyramid.Name(level), Convolution($"backbone.fpn.fpn_layer{level + 2}", pyramid[level]), 1);
        }

        Add("fpn", "P6", Convolution("backbone.fpn.top_blocks.p6", pyramid[2]) with { Stride = 2 }, 1);
        Add("fpn", "P7", Convolution("backbone.fpn.top_blocks.p7", pyramid[3]) with { Stride = 2 }, 1);
    }

    private void Fusion(int cells)
    {
        const string stage = "VLFuse", attention = "rpn.head.dyhead_tower.0.b_attn.attn";
        int layers = _config.NumConvs, heads = _config.Fusion!.Heads, perHead = layers * heads, headDim = _config.Fusion.EmbedDim / heads;
        Add(stage, "text keys", Linear($"{attention}.l_proj", _tokens), layers);
        Add(stage, "text values", Linear($"{attention}.values_l_proj", _tokens), layers);
        Add(stage, "query projection into text, a head", new GemmShape(_tokens, _config.Channels, headDim), perHead);
        Add(stage, "output projection into text, a head", new GemmShape(_tokens, _config.Channels, headDim), perHead);
        Add(stage, "attention both ways", new BiAttentionShape(cells, _config.Channels, _tokens, heads), layers);
        Add(stage, "visual values, a head", new GemmShape(_tokens, headDim, _config.Channels), perHead);
        Add(stage, "text output", Linear($"{attention}.out_l_proj", _tokens), layers);
    }

    private void DyConv(Pyramid pyramid)
    {
        // With fusion, a layer has three modules in the checkpoint: fusion, text, DyConv.
        const string stage = "DyConv";
        string module = $"rpn.head.dyhead_tower.{(_config.EarlyFuse ? 2 : 0)}";
        int layers = _config.NumConvs;
        for (int level = 0; level < pyramid.Levels; level++)
        {
            string name = Pyramid.Name(level);
            Add(stage, $"offsets and masks {name}", Convolution($"{module}.offset", pyramid[level]) with { Planar = true }, layers);
            Add(stage, $"{name} from itself", Deformable(pyramid[level], 1), layers);
            if (level > 0)
                Add(stage, $"{name} from {Pyramid.Name(level - 1)}", Deformable(pyramid[level - 1], 2), layers);
            if (level < pyramid.Levels - 1)
                Add(stage, $"{name} from {Pyramid.Name(level + 1)}", Deformable(pyramid[level + 1], 1), layers);
        }

        Add(stage, "dynamic ReLU, squeeze", Linear($"{module}.relu.fc.0", 1), layers * pyramid.Levels);
        Add(stage, "dynamic ReLU, expand", Linear($"{module}.relu.fc.2", 1), layers * pyramid.Levels);

        DcnShape Deformable(MapSize size, int stride)
        {
            int[] weight = _parameters[$"{module}.DyConv.1.conv.weight"];
            return new DcnShape(size.Height, size.Width, weight[1], weight[0], stride);
        }
    }

    private void Head(Pyramid pyramid, int scored)
    {
        for (int level = 0; level < pyramid.Levels; level++)
            Add("head", $"boxes {Pyramid.Name(level)}", Linear("rpn.head.bbox_pred", pyramid[level].Cells), 1);
        Add("head", "centerness", Linear("rpn.head.centerness", pyramid.Cells), 1);
        Add("head", "text projection", Linear("rpn.head.dot_product_projection_text", scored), 1);
        Add("head", "logits", new GemmShape(pyramid.Cells, scored, _config.Channels), 1);
    }

    /// <summary>A fully connected layer, or a 1×1 convolution, of some rows.</summary>
    private GemmShape Linear(string name, int rows)
    {
        int[] weight = _parameters[name + ".weight"];
        return new GemmShape(rows, weight[0], weight[1]);
    }

    private ConvShape Convolution(string name, MapSize size)
    {
        int[] weight = _parameters[name + ".weight"];
        return new ConvShape(size.Height, size.Width, weight[1], weight[0], weight[2]);
    }

    private void Add(string stage, string part, KernelShape shape, int count, KernelKind? inside = null)
    {
        if (count > 0)
            _uses.Add(new ShapeUse(stage, part, shape, count, inside?.Name ?? ""));
    }
}
