using System.Numerics.Tensors;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Model.Bert;
using Glip.Managed.Model.DyHead;
using Glip.Managed.Model.Fpn;
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
    public GlipModel(WeightSource source, KernelContext kernels)
    {
        Config = source.Config;
        StoredPrompts = source.StoredPrompts;
        var weights = new WeightReader(source, kernels);
        _text = source.StoredPrompts is null ? new BertEncoder(weights.Under(BertEncoder.Prefix), Config.Bert) : null;
        _backbone = new SwinBackbone(weights.Under("backbone.body."), Config.Swin);
        _pyramid = new FeaturePyramid(weights.Under("backbone.fpn."), Config.Swin, Config.Channels);
        _tower = new DyHeadTower(weights.Under("rpn.head.dyhead_tower."), Config);
        _head = new GroundingHead(weights.Under("rpn.head."), Config);
    }

    /// <summary>Sizes.</summary>
    public GlipConfig Config { get; }

    /// <summary>What a model without text encoder has instead; null for one with it.</summary>
    public IReadOnlyList<PromptRows>? StoredPrompts { get; }

    /// <summary>Computes the outputs of every cell of the pyramid.</summary>
    /// <param name="pass">How, and where activations go.</param>
    /// <param name="image">[Hp, Wp, 3], normalised and padded.</param>
    /// <param name="imageSize">Hp × Wp, multiples of <see cref="GlipConfig.SizeDivisibility"/>.</param>
    /// <param name="ids">Real tokens, L.</param>
    /// <param name="pyramid">Levels of this image size, A cells.</param>
    /// <param name="boxes">[A, 4], box deltas.</param>
    /// <param name="centerness">[A], before the sigmoid.</param>
    /// <param name="logits">[A, L], before the sigmoid.</param>
    /// <param name="rows">[L, C], added to the text encoder's output, or that output itself where there is no encoder; empty for none.</param>
    public void Forward(
        ForwardPass pass, ReadOnlySpan<float> image, MapSize imageSize, ReadOnlySpan<int> ids, Pyramid pyramid,
        Span<float> boxes, Span<float> centerness, Span<float> logits, ReadOnlySpan<float> rows = default)
    {
        int width = Config.Bert.HiddenSize;
        using WorkspaceBuffer hidden = pass.Rent(ids.Length, width);
        EncodeText(pass, ids, rows, hidden);
        pass.Mark("bert");
        pass.Trace?.Tokens("lang.embedded", hidden, ids.Length, width);
        pass.Trace?.Tokens("lang.hidden", hidden, ids.Length, width);

        using WorkspaceBuffer visual = pass.Rent(pyramid.Cells, Config.Channels);
        Features(pass, image, imageSize, pyramid, visual);

        // Without deep fusion the text stays BERT's own; with it, the tower leaves the fused text here.
        _tower.Forward(pass, visual, pyramid, hidden, ids.Length);
        _head.Forward(pass, visual, pyramid, hidden, ids.Length, boxes, centerness, logits);
        pass.Mark("head");
    }

    private void EncodeText(ForwardPass pass, ReadOnlySpan<int> ids, ReadOnlySpan<float> rows, Span<float> hidden)
    {
        _text?.Forward(pass, ids, hidden);
        if (pass.IsPlanning || rows.IsEmpty)
            return;
        if (_text is null)
            rows.CopyTo(hidden);
        else
            TensorPrimitives.Add(hidden[..rows.Length], rows, hidden);
    }

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
