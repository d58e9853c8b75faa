using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Swin;

/// <summary>Halves the map and doubles the channels: 2×2 cells together, layer norm, linear without bias.</summary>
internal sealed class PatchMerging
{
    private readonly int _channels;
    private readonly NormWeights _norm;
    private readonly PackedMatrix _reduction;

    public PatchMerging(WeightReader weights, int channels)
    {
        _channels = channels;
        _norm = weights.Norm("norm", 4 * channels);
        _reduction = weights.LinearWithoutBias("reduction", 2 * channels, 4 * channels);
    }

    /// <summary>x [H·W, C] to y [ceil(H/2)·ceil(W/2), 2C].</summary>
    public void Forward(ForwardPass pass, ReadOnlySpan<float> x, MapSize size, Span<float> y)
    {
        int cells = size.Halved.Cells;
        using WorkspaceBuffer merged = pass.Rent(cells, 4 * _channels);
        PatchGather.Forward(pass.Kernels, x, size.Height, size.Width, _channels, merged);
        LayerNorm.Forward(pass.Kernels, merged, cells, _norm.Gamma, _norm.Beta, SwinBackbone.NormEpsilon, merged);
        Gemm.Linear(pass.Kernels, merged, cells, _reduction, y);
    }
}
