using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Swin;

/// <summary>Window attention and feed-forward, both with a norm in front and a residual around; every second block of a stage is shifted.</summary>
internal sealed class SwinBlock
{
    // MLP ratio of all published models.
    private const int MlpRatio = 4;

    private readonly int _channels;
    private readonly int _heads;
    private readonly int _window;
    private readonly int _shift;
    private readonly NormWeights _norm1;
    private readonly PackedMatrix _qkv;
    private readonly float[] _relativePositionBias;
    private readonly PackedMatrix _projection;
    private readonly NormWeights _norm2;
    private readonly PackedMatrix _fc1;
    private readonly PackedMatrix _fc2;

    public SwinBlock(WeightReader weights, int channels, int heads, int window, bool shifted)
    {
        _channels = channels;
        _heads = heads;
        _window = window;
        _shift = shifted ? window / 2 : 0;
        int side = (2 * window) - 1;
        _norm1 = weights.Norm("norm1", channels);
        _qkv = weights.Linear("attn.qkv", 3 * channels, channels);
        _relativePositionBias = WindowAttention.ExpandBias(
            weights.Kernels, weights.Values("attn.relative_position_bias_table", side * side, heads), window, heads);
        _projection = weights.Linear("attn.proj", channels, channels);
        _norm2 = weights.Norm("norm2", channels);
        _fc1 = weights.Linear("mlp.fc1", MlpRatio * channels, channels);
        _fc2 = weights.Linear("mlp.fc2", channels, MlpRatio * channels);
    }

    /// <summary>x [H·W, C], in place.</summary>
    public void Forward(ForwardPass pass, Span<float> x, MapSize size)
    {
        var shape = new WindowShape(size.Height, size.Width, _channels, _heads, _window, _shift);
        WindowAttention.Forward(pass.Kernels, x, shape, _norm1.Gamma, _norm1.Beta, SwinBackbone.NormEpsilon, _qkv, _relativePositionBias, _projection);
        FeedForward.Forward(pass.Kernels, x, size.Cells, _norm2.Gamma, _norm2.Beta, SwinBackbone.NormEpsilon, _fc1, _fc2);
    }
}
