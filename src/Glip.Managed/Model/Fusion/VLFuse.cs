using System.Numerics.Tensors;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Fusion;

/// <summary>In which order the fusion's products are taken. Results differ only by rounding.</summary>
internal enum FusionOrder
{
    /// <summary>The one with fewer multiply-adds for the text and image at hand.</summary>
    Cheaper,

    /// <summary>The wide visual projections multiplied into the text first.</summary>
    Folded,

    /// <summary>As the original does it: visual tokens are projected to the wide space.</summary>
    Plain,
}

/// <summary>
/// Vision-language fusion: attention in both directions between all visual tokens and the text (BiMultiHeadAttention), as a rule with the wide visual
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
    private readonly float _scoreScale;
    private readonly float[] _gammaText;
    private readonly PackedMatrix _key;
    private readonly PackedMatrix _textValue;
    private readonly PackedMatrix _textOut;
    private readonly FusionOrder _order;
    private readonly Folded? _folded;
    private readonly Plain? _plain;

    /// <param name="weights">At <c>b_attn</c>.</param>
    /// <param name="config">Heads and inner width.</param>
    /// <param name="channels">Visual channels C.</param>
    /// <param name="textWidth">Text channels.</param>
    /// <param name="order">Which order to compute in.</param>
    public VLFuse(WeightReader weights, FusionConfig config, int channels, int textWidth, FusionOrder order = FusionOrder.Cheaper)
    {
        _channels = channels;
        _textWidth = textWidth;
        _embed = config.EmbedDim;
        _heads = config.Heads;

        // Where a head is at least as wide as the map has channels, as in all published models, folding saves products at any length of text.
        _order = order == FusionOrder.Cheaper && HeadDim >= channels ? FusionOrder.Folded : order;
        _scoreScale = 1f / MathF.Sqrt(HeadDim);
        float[] gammaVisual = weights.Values("gamma_v", channels);
        _gammaText = weights.Values("gamma_l", textWidth);
        _visualNorm = weights.Norm("layer_norm_v", channels);
        _textNorm = weights.Norm("layer_norm_l", textWidth);
        WeightReader attention = weights.Under("attn.");
        _key = attention.Linear("l_proj", _embed, textWidth);
        _textValue = attention.Linear("values_l_proj", _embed, textWidth);
        _textOut = attention.Linear("out_l_proj", textWidth, _embed);
        if (_order != FusionOrder.Plain)
        {
            float[] visualOutBias = attention.Values("out_v_proj.bias", channels);
            TensorPrimitives.Multiply(visualOutBias, gammaVisual, visualOutBias);
            var query = new Lazy<LooseMatrix>(() => attention.Loose("v_proj.weight", _embed, channels));
            var visualOut = new Lazy<LooseMatrix>(() => attention.Loose("out_v_proj.weight", channels, _embed));
            var visualValue = new Lazy<LooseMatrix>(() => attention.Loose("values_v_proj.weight", _embed, channels));
            var visualValueBias = new Lazy<float[]>(() => attention.Singles("values_v_proj.bias", _embed));

            // Scale and gamma are applied to what these matrices are multiplied with or give, which is small: half-size weights stay as they are stored.
            _folded = new Folded(
                attention.Values("v_proj.bias", _embed),
                PerHead("v_proj", channels, HeadDim, h => query.Value.Rows(h * HeadDim, HeadDim), byColumns: true),
                PerHead("out_v_proj", channels, HeadDim, h => visualOut.Value.Columns(h * HeadDim, HeadDim)),
                gammaVisual,
                visualOutBias,
                PerHead(
                    "values_v_proj", HeadDim, channels, h => visualValue.Value.Rows(h * HeadDim, HeadDim),
                    h => visualValueBias.Value[(h * HeadDim)..((h + 1) * HeadDim)]));
        }

        if (_order != FusionOrder.Folded)
        {
            // Here gamma_v goes into the output projection: what that gives is as large as the image.
            _plain = new Plain(
                attention.Linear("v_proj", _embed, channels),
                attention.Linear("values_v_proj", _embed, channels),
                attention.Matrix(
                    "out_v_proj", channels, _embed,
                    () => LooseMatrix.Of(ScaleRows(attention.Singles("out_v_proj.weight", channels, _embed), gammaVisual), _embed),
                    () => ScaleRows(attention.Singles("out_v_proj.bias", channels), gammaVisual)));
        }

        PackedMatrix[] PerHead(string name, int columns, int depth, Func<int, LooseMatrix> weight, Func<int, float[]>? bias = null, bool byColumns = false) =>
            [.. Enumerable.Range(0, _heads).Select(h =>
                attention.Matrix($"{name}.{h}", columns, depth, () => weight(h), bias is null ? null : () => bias(h), byColumns))];
    }

    private int HeadDim => _embed / _heads;

    /// <summary>Updates both sides in place. The residual base is the <em>normalised</em> input (trap T11).</summary>
    /// <param name="pass">How.</param>
    /// <param name="visual">[A, C].</param>
    /// <param name="cells">A, all levels together.</param>
    /// <param name="text">[L, text channels].</param>
    /// <param name="tokens">L.</param>
    /// <param name="attended">How many of them are real; the rest is padding, which nobody attends to.</param>
    public void Forward(ForwardPass pass, Span<float> visual, int cells, Span<float> text, int tokens, int attended)
    {
        KernelContext kernels = pass.Kernels;
        LayerNorm.Forward(kernels, visual, cells, _visualNorm.Gamma, _visualNorm.Beta, NormEpsilon, visual);
        LayerNorm.Forward(kernels, text, tokens, _textNorm.Gamma, _textNorm.Beta, NormEpsilon, text);

        using WorkspaceBuffer keys = pass.Rent(tokens, _embed);
        using WorkspaceBuffer values = pass.Rent(tokens, _embed);
        Gemm.Linear(kernels, text, tokens, _key, keys);
        Gemm.Linear(kernels, text, tokens, _textValue, values);

        // The score scale belongs to the query, after its bias; keys are fewer, and both orders multiply with them.
        if (!pass.IsPlanning)
            TensorPrimitives.Multiply(keys, _scoreScale, keys);
        using WorkspaceBuffer collected = pass.Rent(tokens, _embed);
        if (_order == FusionOrder.Folded || (_order == FusionOrder.Cheaper && FoldingIsCheaper(cells, tokens)))
            AttendFolded(pass, _folded!, visual, cells, tokens, attended, keys, values, collected);
        else
            AttendPlain(pass, _plain!, visual, cells, tokens, attended, keys, values, collected);
        using WorkspaceBuffer update = pass.Rent(tokens, _textWidth);
        Gemm.Linear(kernels, collected, tokens, _textOut, update);
        if (!pass.IsPlanning)
        {
            ScaleColumns(update, _gammaText);
            TensorPrimitives.Add(text, update, text);
        }
    }

    /// <summary>
    /// Multiply-adds of both orders, without the text's projections that they share. Folded: scores, sums and updates run over C channels a head, and the folds
    /// themselves cost three small products. Plain: the wide projections of all cells, then the same over the head's own width.
    /// </summary>
    private bool FoldingIsCheaper(long cells, long tokens)
    {
        long folded = 3 * tokens * _channels * ((cells * _heads) + _embed);
        long plain = 3 * cells * _embed * (_channels + tokens);
        return folded <= plain;
    }

    private void AttendFolded(
        ForwardPass pass, Folded weights, Span<float> visual, int cells, int tokens, int attended, ReadOnlySpan<float> keys, ReadOnlySpan<float> values,
        Span<float> collected)
    {
        KernelContext kernels = pass.Kernels;
        int headTokens = _heads * tokens, headFloats = tokens * _channels;

        // Fold the visual projections into the text: M_h = K_h Wq_h / √d, c_h = b_q·K_h / √d, U_h = Vl_h Wo_hᵀ ⊙ γ_v.
        using WorkspaceBuffer scoreWeights = pass.Rent(headTokens, _channels);
        using WorkspaceBuffer scoreBias = pass.Rent(headTokens);
        using WorkspaceBuffer valueWeights = pass.Rent(headTokens, _channels);
        for (int h = 0; h < _heads; h++)
        {
            Gemm.Linear(kernels, keys[(h * HeadDim)..], tokens, weights.Query[h], scoreWeights.Span.Slice(h * headFloats, headFloats), xStride: _embed);
            Gemm.Linear(kernels, values[(h * HeadDim)..], tokens, weights.VisualOut[h], valueWeights.Span.Slice(h * headFloats, headFloats), xStride: _embed);
        }

        if (!pass.IsPlanning)
        {
            FoldQueryBias(weights.QueryBias, keys, tokens, scoreBias);
            ScaleColumns(valueWeights, weights.GammaVisual);
        }

        using WorkspaceBuffer sums = pass.Rent(headTokens, _channels);
        using (WorkspaceBuffer working = pass.Rent(BiAttention.WorkspaceFloats(kernels, cells, _channels, _heads, tokens)))
        {
            BiAttention.Forward(
                kernels, visual, cells, _channels, _heads, tokens, attended, scoreWeights, scoreBias, valueWeights, weights.VisualOutBias, Clamp, working, sums);
        }

        // Text side: the weights of a row sum to 1, so projecting the weighted sum equals weighting the projections, bias included.
        for (int h = 0; h < _heads; h++)
            Gemm.Linear(kernels, sums.Span.Slice(h * headFloats, headFloats), tokens, weights.VisualValue[h], collected[(h * HeadDim)..], yStride: _embed);
    }

    private void AttendPlain(
        ForwardPass pass, Plain weights, Span<float> visual, int cells, int tokens, int attended, ReadOnlySpan<float> keys, ReadOnlySpan<float> values,
        Span<float> collected)
    {
        KernelContext kernels = pass.Kernels;
        int headFloats = tokens * HeadDim;
        using WorkspaceBuffer queries = pass.Rent(cells, _embed);
        using WorkspaceBuffer visualValues = pass.Rent(cells, _embed);
        using WorkspaceBuffer output = pass.Rent(cells, _embed);
        Gemm.Linear(kernels, visual, cells, weights.Query, queries);
        Gemm.Linear(kernels, visual, cells, weights.VisualValue, visualValues);
        using WorkspaceBuffer headKeys = pass.Rent(headFloats);
        using WorkspaceBuffer headValues = pass.Rent(headFloats);
        using WorkspaceBuffer sums = pass.Rent(headFloats);
        using WorkspaceBuffer zeros = pass.Rent(Math.Max(tokens, HeadDim));
        using (WorkspaceBuffer working = pass.Rent(BiAttention.WorkspaceFloats(kernels, cells, HeadDim, heads: 1, tokens)))
        {
            if (!pass.IsPlanning)
                zeros.Span.Clear();
            for (int h = 0; h < _heads; h++)
            {
                int first = h * HeadDim;
                if (!pass.IsPlanning)
                {
                    Rows(keys[first..], _embed, headKeys, HeadDim, tokens);
                    Rows(values[first..], _embed, headValues, HeadDim, tokens);
                }

                BiAttention.ForwardHead(
                    kernels, queries.Span[first..], visualValues.Span[first..], output.Span[first..], _embed, cells, HeadDim, tokens, attended, headKeys, headValues,
                    zeros, Clamp, working, sums);
                if (!pass.IsPlanning)
                    Rows(sums, HeadDim, collected[first..], _embed, tokens);
            }
        }

        Gemm.Linear(kernels, output, cells, weights.VisualOut, visual, residual: visual);

        void Rows(ReadOnlySpan<float> from, int fromStride, Span<float> to, int toStride, int count)
        {
            for (int i = 0; i < count; i++)
                from.Slice(i * fromStride, HeadDim).CopyTo(to[(i * toStride)..]);
        }
    }

    private void FoldQueryBias(float[] queryBias, ReadOnlySpan<float> keys, int tokens, Span<float> bias)
    {
        for (int h = 0; h < _heads; h++)
        {
            for (int t = 0; t < tokens; t++)
                bias[(h * tokens) + t] = PortableMath.Dot(queryBias.AsSpan(h * HeadDim, HeadDim), keys.Slice((t * _embed) + (h * HeadDim), HeadDim));
        }
    }

    /// <summary>Multiplies as many rows as there are factors by one each.</summary>
    private static float[] ScaleRows(float[] rows, float[] factors)
    {
        int columns = rows.Length / factors.Length;
        for (int row = 0; row < factors.Length; row++)
        {
            Span<float> values = rows.AsSpan(row * columns, columns);
            TensorPrimitives.Multiply(values, factors[row], values);
        }

        return rows;
    }

    /// <summary>Multiplies each row of as many values by <paramref name="factors"/>.</summary>
    private static void ScaleColumns(Span<float> rows, ReadOnlySpan<float> factors)
    {
        for (; rows.Length > 0; rows = rows[factors.Length..])
            TensorPrimitives.Multiply(rows[..factors.Length], factors, rows);
    }

    /// <summary>Weights for the folded order, one matrix a head.</summary>
    private sealed record Folded(
        float[] QueryBias, PackedMatrix[] Query, PackedMatrix[] VisualOut, float[] GammaVisual, float[] VisualOutBias, PackedMatrix[] VisualValue);

    /// <summary>Weights for the order in which the original computes.</summary>
    private sealed record Plain(PackedMatrix Query, PackedMatrix VisualValue, PackedMatrix VisualOut);
}
