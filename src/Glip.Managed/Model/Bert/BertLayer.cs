using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Bert;

/// <summary>One BERT encoder layer (Devlin et al., 2019), norms after residuals. The tower's text layers are the same with clamps.</summary>
internal sealed class BertLayer
{
    /// <summary>Epsilon of BERT's layer norms, far below everybody else's.</summary>
    public const float NormEpsilon = 1e-12f;

    private readonly int _width;
    private readonly int _heads;
    private readonly float _clamp;
    private readonly PackedMatrix _qkv;
    private readonly PackedMatrix _attentionOutput;
    private readonly NormWeights _attentionNorm;
    private readonly PackedMatrix _intermediate;
    private readonly PackedMatrix _output;
    private readonly NormWeights _outputNorm;

    /// <param name="weights">At the layer.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="clamp">Limit on scores, feed-forward values and results (the tower's text layers), or infinity.</param>
    public BertLayer(WeightReader weights, BertConfig config, float clamp = float.PositiveInfinity)
    {
        _width = config.HiddenSize;
        _heads = config.Heads;
        _clamp = clamp;
        _qkv = ReadQkv(weights.Under("attention.self."), _width);
        _attentionOutput = weights.Linear("attention.output.dense", _width, _width);
        _attentionNorm = weights.Norm("attention.output.LayerNorm", _width);
        _intermediate = weights.Linear("intermediate.dense", config.IntermediateSize, _width);
        _output = weights.Linear("output.dense", _width, config.IntermediateSize);
        _outputNorm = weights.Norm("output.LayerNorm", _width);
    }

    /// <summary>x [L, C], in place.</summary>
    /// <param name="pass">How.</param>
    /// <param name="x">[tokens, C].</param>
    /// <param name="tokens">L.</param>
    /// <param name="keyBias">[tokens] added to attention scores (−10000 for padding), or empty.</param>
    public void Forward(ForwardPass pass, Span<float> x, int tokens, ReadOnlySpan<float> keyBias = default)
    {
        KernelContext kernels = pass.Kernels;
        using WorkspaceBuffer attended = pass.Rent(tokens, _width);
        using WorkspaceBuffer projected = pass.Rent(tokens, _width);
        using (WorkspaceBuffer qkv = pass.Rent(tokens, 3 * _width))
        {
            Gemm.Linear(kernels, x, tokens, _qkv, qkv);
            MultiHeadAttention.Forward(kernels, qkv, tokens, _width, _heads, _clamp, keyBias, attended);
        }

        Gemm.Linear(kernels, attended, tokens, _attentionOutput, projected);
        LayerNorm.Forward(kernels, projected, tokens, _attentionNorm.Gamma, _attentionNorm.Beta, NormEpsilon, x, residual: x);

        using WorkspaceBuffer hidden = pass.Rent(tokens, _intermediate.Columns);
        Gemm.Linear(kernels, x, tokens, _intermediate, hidden, Activation.Gelu, _clamp);
        Gemm.Linear(kernels, hidden, tokens, _output, projected, clamp: _clamp);
        LayerNorm.Forward(kernels, projected, tokens, _outputNorm.Gamma, _outputNorm.Beta, NormEpsilon, x, residual: x, clamp: _clamp);
    }

    private static PackedMatrix ReadQkv(WeightReader weights, int width)
    {
        string[] names = ["query", "key", "value"];
        return weights.Matrix(
            "qkv", 3 * width, width,
            () =>
            {
                LooseMatrix[] parts = [.. names.Select(name => weights.Loose(name + ".weight", width, width))];
                return LooseMatrix.SameType(parts)
                    ? LooseMatrix.Stack(parts)
                    : LooseMatrix.Of([.. names.SelectMany(name => weights.Singles(name + ".weight", width, width))], width);
            },
            () => [.. names.SelectMany(name => weights.Singles(name + ".bias", width))]);
    }
}
