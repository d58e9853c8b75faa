using System.Numerics.Tensors;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Fusion;

/// <summary>
/// Vision-language fusion: attention in both directions between all visual tokens and the text (BiMultiHeadAttention), with the wide visual
/// projections folded into small matrices of the text (specification, sections 8.1 and 13 ii).
/// </summary>
internal sealed class VLFuse
{
    /// <summary>Limit on attention scores and text activations in the tower: the original's guard against overflow in half precision.</summary>
    public const float Clamp = 50000f;

    private const float NormEpsilon = 1e-5f;
    private readonly int _channels;
    private readonly int _textWidth;
    private readonly int _embed;
    private readonly int _heads;
    private readonly NormWeights _visualNorm;
    private readonly NormWeights _textNorm;
    private readonly PackedMatrix _key;
    private readonly PackedMatrix _textValue;
    private readonly float[] _queryBias;
    private readonly PackedMatrix[] _queryFold;
    private readonly PackedMatrix[] _visualOutFold;
    private readonly float[] _visualOutBias;
    private readonly PackedMatrix[] _visualValue;
    private readonly PackedMatrix _textOut;

    /// <param name="weights">At <c>b_attn</c>.</param>
    /// <param name="config">Heads and inner width.</param>
    /// <param name="channels">Visual channels C.</param>
    /// <param name="textWidth">Text channels.</param>
    public VLFuse(WeightReader weights, FusionConfig config, int channels, int textWidth)
    {
        _channels = channels;
        _textWidth = textWidth;
        _embed = config.EmbedDim;
        _heads = config.Heads;
        int headDim = _embed / _heads;
        float scale = 1f / MathF.Sqrt(headDim);
        float[] gammaVisual = weights.Values("gamma_v", channels), gammaText = weights.Values("gamma_l", textWidth);
        _visualNorm = weights.Norm("layer_norm_v", channels);
        _textNorm = weights.Norm("layer_norm_l", textWidth);
        WeightReader attention = weights.Under("attn.");
        _key = attention.Linear("l_proj", _embed, textWidth);
        _textValue = attention.Linear("values_l_proj", _embed, textWidth);

        // The score scale belongs to the query, after its bias.
        float[] query = attention.Values("v_proj.weight", _embed, channels);
        _queryBias = attention.Values("v_proj.bias", _embed);
        TensorPrimitives.Multiply(query, scale, query);
        TensorPrimitives.Multiply(_queryBias, scale, _queryBias);
        _queryFold = PerHead(h => PackedMatrix.FromColumns(weights.Kernels, query.AsSpan(h * headDim * channels, headDim * channels), headDim, channels, []));

        // gamma_v scales the image side's update: fold it into the output projection.
        float[] visualOut = attention.Values("out_v_proj.weight", channels, _embed);
        _visualOutBias = attention.Values("out_v_proj.bias", channels);
        ScaleRows(visualOut, _visualOutBias, gammaVisual);
        _visualOutFold = PerHead(h => PackedMatrix.FromRows(weights.Kernels, Columns(visualOut, channels, _embed, h * headDim, headDim), channels, headDim, []));

        float[] visualValue = attention.Values("values_v_proj.weight", _embed, channels);
        float[] visualValueBias = attention.Values("values_v_proj.bias", _embed);
        _visualValue = PerHead(h => PackedMatrix.FromRows(
            weights.Kernels, visualValue.AsSpan(h * headDim * channels, headDim * channels), headDim, channels, visualValueBias.AsSpan(h * headDim, headDim)));

        float[] textOut = attention.Values("out_l_proj.weight", textWidth, _embed);
        float[] textOutBias = attention.Values("out_l_proj.bias", textWidth);
        ScaleRows(textOut, textOutBias, gammaText);
        _textOut = PackedMatrix.FromRows(weights.Kernels, textOut, textWidth, _embed, textOutBias);

        PackedMatrix[] PerHead(Func<int, PackedMatrix> make) => [.. Enumerable.Range(0, _heads).Select(make)];
    }

    /// <summary>Updates both sides in place. The residual base is the <em>normalised</em> input (trap T11).</summary>
    /// <param name="pass">How.</param>
    /// <param name="visual">[A, C].</param>
    /// <param name="cells">A, all levels together.</param>
    /// <param name="text">[L, text channels].</param>
    /// <param name="tokens">L, real tokens.</param>
    public void Forward(ForwardPass pass, Span<float> visual, int cells, Span<float> text, int tokens)
    {
        KernelContext kernels = pass.Kernels;
        int headDim = _embed / _heads, headTokens = _heads * tokens;
        LayerNorm.Forward(kernels, visual, cells, _visualNorm.Gamma, _visualNorm.Beta, NormEpsilon, visual);
        LayerNorm.Forward(kernels, text, tokens, _textNorm.Gamma, _textNorm.Beta, NormEpsilon, text);

        using WorkspaceBuffer keys = pass.Rent(tokens, _embed);
        using WorkspaceBuffer values = pass.Rent(tokens, _embed);
        Gemm.Linear(kernels, text, tokens, _key, keys);
        Gemm.Linear(kernels, text, tokens, _textValue, values);

        // Fold the visual projections into the text: M_h = K_h Wq_h / √d, c_h = b_q·K_h / √d, U_h = Vl_h Wo_hᵀ.
        using WorkspaceBuffer scoreWeights = pass.Rent(headTokens, _channels);
        using WorkspaceBuffer scoreBias = pass.Rent(headTokens);
        using WorkspaceBuffer valueWeights = pass.Rent(headTokens, _channels);
        for (int h = 0; h < _heads; h++)
        {
            Span<float> m = scoreWeights.Span.Slice(h * tokens * _channels, tokens * _channels);
            Span<float> u = valueWeights.Span.Slice(h * tokens * _channels, tokens * _channels);
            Gemm.Linear(kernels, keys.Span[(h * headDim)..], tokens, _queryFold[h], m, xStride: _embed);
            Gemm.Linear(kernels, values.Span[(h * headDim)..], tokens, _visualOutFold[h], u, xStride: _embed);
        }

        if (!pass.IsPlanning)
            FoldQueryBias(keys, tokens, scoreBias);

        using WorkspaceBuffer attended = pass.Rent(headTokens, _channels);
        using (WorkspaceBuffer working = pass.Rent(BiAttention.WorkspaceFloats(kernels, cells, _channels, headTokens)))
        {
            BiAttention.Forward(
                kernels, visual, cells, _channels, _heads, tokens, scoreWeights, scoreBias, valueWeights, _visualOutBias, Clamp, working, attended);
        }

        // Text side: the weights of a row sum to 1, so projecting the weighted sum equals weighting the projections, bias included.
        using WorkspaceBuffer collected = pass.Rent(tokens, _embed);
        for (int h = 0; h < _heads; h++)
        {
            Span<float> sums = attended.Span.Slice(h * tokens * _channels, tokens * _channels);
            Gemm.Linear(kernels, sums, tokens, _visualValue[h], collected.Span[(h * headDim)..], yStride: _embed);
        }

        Gemm.Linear(kernels, collected, tokens, _textOut, text, residual: text);
    }

    private void FoldQueryBias(ReadOnlySpan<float> keys, int tokens, Span<float> bias)
    {
        int headDim = _embed / _heads;
        for (int h = 0; h < _heads; h++)
        {
            for (int t = 0; t < tokens; t++)
                bias[(h * tokens) + t] = TensorPrimitives.Dot(_queryBias.AsSpan(h * headDim, headDim), keys.Slice((t * _embed) + (h * headDim), headDim));
        }
    }

    private static void ScaleRows(float[] weight, float[] bias, float[] factors)
    {
        int columns = weight.Length / bias.Length;
        for (int row = 0; row < bias.Length; row++)
        {
            Span<float> values = weight.AsSpan(row * columns, columns);
            TensorPrimitives.Multiply(values, factors[row], values);
        }

        TensorPrimitives.Multiply(bias, factors, bias);
    }

    private static float[] Columns(float[] weight, int rows, int stride, int first, int count)
    {
        var result = new float[rows * count];
        for (int row = 0; row < rows; row++)
            weight.AsSpan((row * stride) + first, count).CopyTo(result.AsSpan(row * count));
        return result;
    }
}
