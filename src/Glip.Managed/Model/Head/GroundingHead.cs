using System.Numerics.Tensors;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Model.Fusion;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Head;

/// <summary>The last layer: per cell a box, its centerness and its similarity to each text token.</summary>
internal sealed class GroundingHead
{
    private const int BoxValues = 4;

    // torch.nn.functional.normalize's epsilon.
    private const float NormalizeEpsilon = 1e-12f;

    private readonly int _channels;
    private readonly int _textWidth;
    private readonly PackedMatrix[] _box;
    private readonly PackedMatrix _centerness;
    private readonly PackedMatrix _textProjection;
    private readonly float[] _textBias;
    private readonly float _bias;

    public GroundingHead(WeightReader weights, GlipConfig config)
    {
        _channels = config.Channels;
        _textWidth = config.Bert.HiddenSize;

        _box = [.. Enumerable.Range(0, config.Levels).Select(level => Box(weights, level))];
        _centerness = weights.Convolution("centerness", 1, config.Channels, 1);
        _textBias = weights.Values("bias_lang", _textWidth);
        _bias = weights.Scalar("bias0");

        // p = projection(e/2)/exp(log_scale): both factors fold into the weights, the second into the bias too.
        float temperature = PortableMath.Exp(-weights.Scalar("log_scale"));
        _textProjection = weights.Matrix(
            "dot_product_projection_text", _channels, _textWidth,
            () => LooseMatrix.Of(Scaled(weights.Singles("dot_product_projection_text.weight", _channels, _textWidth), 0.5f * temperature), _textWidth),
            () => Scaled(weights.Singles("dot_product_projection_text.bias", _channels), temperature));
    }

    /// <summary>Boxes [A, 4] and centerness [A] (before the sigmoid) of all cells.</summary>
    public void Boxes(ForwardPass pass, ReadOnlySpan<float> visual, Pyramid pyramid, Span<float> boxes, Span<float> centerness)
    {
        KernelContext kernels = pass.Kernels;
        pass.Checkpoint();
        for (int level = 0; level < pyramid.Levels; level++)
        {
            Gemm.Linear(
                kernels, pyramid.Level(visual, level, _channels), pyramid[level].Cells, _box[level], pyramid.Level(boxes, level, BoxValues));
        }

        Gemm.Linear(kernels, visual, pyramid.Cells, _centerness, centerness);
        for (int level = 0; pass.Trace is not null && level < pyramid.Levels; level++)
        {
            MapSize size = pyramid[level];
            string name = Pyramid.Name(level);
            pass.Trace.Map($"head.bbox_reg.{name}", pyramid.Level(boxes, level, BoxValues), size.Height, size.Width, BoxValues);
            pass.Trace.Map($"head.centerness.{name}", pyramid.Level(centerness, level, 1), size.Height, size.Width, 1);
        }
    }

    /// <summary>What cells are compared with: a direction in the visual space and a bias for each of some tokens.</summary>
    /// <param name="pass">How.</param>
    /// <param name="text">[L, text channels].</param>
    /// <param name="positions">Which tokens, U of them.</param>
    /// <param name="queries">[U, C].</param>
    /// <param name="bias">[U].</param>
    public void Queries(ForwardPass pass, ReadOnlySpan<float> text, ReadOnlySpan<int> positions, Span<float> queries, Span<float> bias)
    {
        KernelContext kernels = pass.Kernels;
        pass.Checkpoint();
        using WorkspaceBuffer direction = pass.Rent(positions.Length, _textWidth);
        for (int i = 0; !pass.IsPlanning && i < positions.Length; i++)
            text.Slice(positions[i] * _textWidth, _textWidth).CopyTo(direction.Span[(i * _textWidth)..]);
        L2Normalize.Forward(kernels, direction, positions.Length, _textWidth, NormalizeEpsilon, direction);
        Gemm.Linear(kernels, direction, positions.Length, _textProjection, queries);
        for (int i = 0; !pass.IsPlanning && i < positions.Length; i++)
            bias[i] = PortableMath.Dot(_textBias, direction.Span.Slice(i * _textWidth, _textWidth)) + _bias;
    }

    /// <summary>Floats of <c>pack</c> that <see cref="Logits"/> needs for <paramref name="tokens"/> tokens.</summary>
    public int PackFloats(KernelContext kernels, int tokens) => Gemm.PackFloats(kernels, tokens, _channels);

    /// <summary>Logits [rows, U] of some cells, before the sigmoid.</summary>
    /// <param name="kernels">How.</param>
    /// <param name="visual">[rows, C].</param>
    /// <param name="rows">How many.</param>
    /// <param name="queries">[U, C] of <see cref="Queries"/>.</param>
    /// <param name="bias">[U] of <see cref="Queries"/>.</param>
    /// <param name="pack"><see cref="PackFloats"/> values, overwritten.</param>
    /// <param name="logits">[rows, U].</param>
    public void Logits(
        KernelContext kernels, ReadOnlySpan<float> visual, int rows, ReadOnlySpan<float> queries, ReadOnlySpan<float> bias, Span<float> pack, Span<float> logits) =>
        Gemm.LinearUnpacked(kernels, visual, rows, queries, bias, pack, logits, VLFuse.Clamp);

    /// <summary>Each level scales its boxes by a learned number, folded into the weights.</summary>
    private PackedMatrix Box(WeightReader weights, int level)
    {
        float scale = weights.Scalar($"scales.{level}.scale");
        return weights.Matrix(
            $"bbox_pred.{level}", BoxValues, _channels,
            () => LooseMatrix.Of(Scaled(weights.Singles("bbox_pred.weight", BoxValues, _channels, 1, 1), scale), _channels),
            () => Scaled(weights.Singles("bbox_pred.bias", BoxValues), scale));
    }

    private static float[] Scaled(float[] values, float factor)
    {
        TensorPrimitives.Multiply(values, factor, values);
        return values;
    }
}
