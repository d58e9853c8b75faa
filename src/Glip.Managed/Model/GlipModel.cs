using System.Numerics.Tensors;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Model.Bert;
using Glip.Managed.Model.DyHead;
using Glip.Managed.Model.Fpn;
using Glip.Managed.Model.Fusion;
using Glip.Managed.Model.Head;
using Glip.Managed.Model.Swin;
using Glip.Managed.Weights;

namespace Glip.Managed.Model;

/// <summary>GLIP from normalised pixels and token ids to raw outputs: the whole network, top to bottom.</summary>
/// <remarks>Immutable after construction, so one model serves any number of forward passes at once.</remarks>
internal sealed class GlipModel
{
    private readonly BertEncoder? _text;
    private readonly SwinBackbone _backbone;
    private readonly FeaturePyramid _pyramid;
    private readonly DyHeadTower _tower;
    private readonly GroundingHead _head;

    /// <summary>Reads and packs all weights.</summary>
    /// <exception cref="GlipFormatException">A tensor is missing, has another shape or holds values that are not finite.</exception>
    /// <param name="source">Where they come from.</param>
    /// <param name="kernels">Packs them.</param>
    /// <param name="store">Where they are kept.</param>
    /// <param name="order">Of the fusion's products.</param>
    public GlipModel(WeightSource source, KernelContext kernels, WeightStore store, FusionOrder order = FusionOrder.Cheaper)
    {
        Config = source.Config;
        StoredPrompts = source.StoredPrompts;
        var weights = new WeightReader(source, kernels, store);
        _text = source.StoredPrompts is null ? new BertEncoder(weights.Under(BertEncoder.Prefix), Config.Bert) : null;
        _backbone = new SwinBackbone(weights.Under("backbone.body."), Config.Swin);
        _pyramid = new FeaturePyramid(weights.Under("backbone.fpn."), Config.Swin, Config.Channels);
        _tower = new DyHeadTower(weights.Under("rpn.head.dyhead_tower."), Config, order);
        _head = new GroundingHead(weights.Under("rpn.head."), Config);
    }

    /// <summary>Sizes.</summary>
    public GlipConfig Config { get; }

    /// <summary>What a model without text encoder has instead; null for one with it.</summary>
    public IReadOnlyList<PromptRows>? StoredPrompts { get; }

    /// <summary>True if the tower mixes text into the image's features, so that it runs once a prompt and not once an image.</summary>
    public bool FusesText => Config.EarlyFuse;

    /// <summary>All of the image's side that no prompt changes: the pyramid, and without deep fusion the tower too.</summary>
    /// <param name="pass">How, and where activations go.</param>
    /// <param name="image">[Hp, Wp, 3], normalised and padded.</param>
    /// <param name="imageSize">Hp × Wp, multiples of <see cref="GlipConfig.SizeDivisibility"/>.</param>
    /// <param name="pyramid">Levels of this image size, A cells.</param>
    /// <param name="visual">[A, C].</param>
    public void EncodeImage(ForwardPass pass, ReadOnlySpan<float> image, MapSize imageSize, Pyramid pyramid, Span<float> visual)
    {
        Features(pass, image, imageSize, pyramid, visual);
        if (!FusesText)
            _tower.Forward(pass, visual, pyramid, default, 0, 0);
    }

    /// <summary>False for a model that has <see cref="StoredPrompts"/> instead.</summary>
    public bool HasTextEncoder => _text is not null;

    /// <summary>
    /// BERT's hidden states [L, text channels] of <paramref name="ids"/>, the first <paramref name="attended"/> of which are real. Without text encoder nothing is written.
    /// </summary>
    public void EncodeText(ForwardPass pass, ReadOnlySpan<int> ids, int attended, Span<float> hidden) => _text?.Forward(pass, ids, attended, hidden);

    /// <summary>Completes the text.</summary>
    /// <param name="pass">How.</param>
    /// <param name="rows">[L, text channels], added to the text encoder's output, or that output itself where there is no encoder; empty for none.</param>
    /// <param name="tokens">L.</param>
    /// <param name="hidden">[L, text channels] of <see cref="EncodeText"/>, in place.</param>
    public void AddRows(ForwardPass pass, ReadOnlySpan<float> rows, int tokens, Span<float> hidden)
    {
        if (!pass.IsPlanning && !rows.IsEmpty)
        {
            if (_text is null)
                rows.CopyTo(hidden);
            else
                TensorPrimitives.Add(hidden[..rows.Length], rows, hidden);
        }

        pass.Mark("bert");
        pass.Trace?.Tokens("lang.embedded", hidden, tokens, Config.Bert.HiddenSize);
        pass.Trace?.Tokens("lang.hidden", hidden, tokens, Config.Bert.HiddenSize);
    }

    /// <summary>The tower with deep fusion: updates <paramref name="visual"/> [A, C] and <paramref name="text"/> [L, text channels] in place; the first <paramref name="attended"/> tokens are real.</summary>
    public void Fuse(ForwardPass pass, Span<float> visual, Pyramid pyramid, Span<float> text, int tokens, int attended) =>
        _tower.Forward(pass, visual, pyramid, text, tokens, attended);

    /// <summary>Box deltas [A, 4] and centerness [A], before the sigmoid, of what the tower made.</summary>
    public void Boxes(ForwardPass pass, ReadOnlySpan<float> visual, Pyramid pyramid, Span<float> boxes, Span<float> centerness)
    {
        _head.Boxes(pass, visual, pyramid, boxes, centerness);
        pass.Mark("head");
    }

    /// <summary>The head, for logits of what the tower made. Without deep fusion the text is BERT's own.</summary>
    public GroundingHead Head => _head;

    /// <summary>The image's side up to the pyramid [A, C].</summary>
    private void Features(ForwardPass pass, ReadOnlySpan<float> image, MapSize imageSize, Pyramid pyramid, Span<float> visual)
    {
        SwinConfig swin = Config.Swin;
        using WorkspaceBuffer c3 = pass.Rent(pyramid[0].Cells, swin.Width(1));
        using WorkspaceBuffer c4 = pass.Rent(pyramid[1].Cells, swin.Width(2));
        using WorkspaceBuffer c5 = pass.Rent(pyramid[2].Cells, swin.Width(3));
        _backbone.Forward(pass, image, imageSize, c3, c4, c5);
        _pyramid.Forward(pass, c3, c4, c5, pyramid, visual);
        pass.Mark("fpn");
        for (int level = 0; pass.Trace is not null && level < pyramid.Levels; level++)
        {
            MapSize size = pyramid[level];
            pass.Trace.Map($"fpn.{Pyramid.Name(level)}", pyramid.Level(visual, level, Config.Channels), size.Height, size.Width, Config.Channels);
        }
    }
}
