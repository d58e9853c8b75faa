using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.DyHead;

/// <summary>Dynamic ReLU (Chen et al., ECCV 2020): the larger of two lines a channel, whose coefficients come from the map's mean.</summary>
internal sealed class DyRelu
{
    // The original's squeeze ratio.
    private const int Reduction = 4;

    private readonly int _channels;
    private readonly PackedMatrix _squeeze;
    private readonly PackedMatrix _expand;

    public DyRelu(WeightReader weights, int channels)
    {
        _channels = channels;
        int inner = channels / Reduction;
        _squeeze = weights.Linear("fc.0", inner, channels);
        _expand = weights.Linear("fc.2", 4 * channels, inner);
    }

    /// <summary>The lines [4, C] of a map with these <paramref name="means"/> [C]: slopes and offsets a1, b1, a2, b2.</summary>
    public void Lines(ForwardPass pass, ReadOnlySpan<float> means, Span<float> lines)
    {
        using WorkspaceBuffer squeezed = pass.Rent(_channels / Reduction);
        Gemm.Linear(pass.Kernels, means, 1, _squeeze, squeezed, Activation.Relu);
        Gemm.Linear(pass.Kernels, squeezed, 1, _expand, lines);
        Elementwise.HardSigmoid(pass.Kernels, lines, lines);
        if (!pass.IsPlanning)
            ToLines(lines);
    }

    /// <summary>hsig values in the order a1, b1, a2, b2 to slopes 2(a1 − ½) + 1 and 2(a2 − ½), and offsets b − ½.</summary>
    private void ToLines(Span<float> theta)
    {
        for (int c = 0; c < _channels; c++)
        {
            theta[c] = ((theta[c] - 0.5f) * 2) + 1;
            theta[_channels + c] -= 0.5f;
            theta[(2 * _channels) + c] = (theta[(2 * _channels) + c] - 0.5f) * 2;
            theta[(3 * _channels) + c] -= 0.5f;
        }
    }
}
