using System.Numerics.Tensors;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.DyHead;

/// <summary>One DyHead layer (Dai et al., CVPR 2021): per level, deformable convolutions of itself and its neighbours, weighted by attention, then dynamic ReLU.</summary>
internal sealed class DyConv
{
    private const float NormEpsilon = 1e-5f;
    private readonly int _channels;
    private readonly int _groups;
    private readonly Branch _coarser;
    private readonly Branch _own;
    private readonly Branch _finer;
    private readonly WinogradFilter _offset;
    private readonly float[] _attention;
    private readonly float _attentionBias;
    private readonly DyRelu _relu;

    public DyConv(WeightReader weights, int channels, int groups)
    {
        _channels = channels;
        _groups = groups;
        _coarser = new Branch(weights.Under("DyConv.0."), channels);
        _own = new Branch(weights.Under("DyConv.1."), channels);
        _finer = new Branch(weights.Under("DyConv.2."), channels);
        // Small, and used for every level: transforming it each time would cost more than its memory.
        _offset = weights.Winograd("offset", ModulatedDeformConv2d.OffsetChannels + ModulatedDeformConv2d.Taps, channels, transformed: true);
        _attention = weights.Values("AttnConv.1.weight", 1, channels, 1, 1);
        _attentionBias = weights.Scalar("AttnConv.1.bias");
        _relu = new DyRelu(weights.Under("relu."), channels);
    }

    /// <summary>All levels of <paramref name="x"/> [A, C] to <paramref name="y"/> [A, C]; every level reads the layer's input.</summary>
    public void Forward(ForwardPass pass, ReadOnlySpan<float> x, Pyramid pyramid, Span<float> y)
    {
        for (int level = 0; level < pyramid.Levels; level++)
        {
            pass.Checkpoint();
            Level(pass, x, pyramid, level, pyramid.Level(y, level, _channels));
        }
    }

    private void Level(ForwardPass pass, ReadOnlySpan<float> x, Pyramid pyramid, int level, Span<float> y)
    {
        KernelContext kernels = pass.Kernels;
        MapSize size = pyramid[level];
        ReadOnlySpan<float> own = pyramid.Level(x, level, _channels);
        bool hasFiner = level > 0, hasCoarser = level < pyramid.Levels - 1;

        using WorkspaceBuffer motion = pass.Rent(size.Cells, ModulatedDeformConv2d.OffsetChannels + ModulatedDeformConv2d.Taps);
        WinogradConv2d.Forward(kernels, own, size.Height, size.Width, _offset, motion, planar: true);
        Span<float> offsets = motion.Span[..(ModulatedDeformConv2d.OffsetChannels * size.Cells)];
        Span<float> masks = motion.Span[offsets.Length..];
        Elementwise.Sigmoid(kernels, masks, masks);

        // Branches in the original's order: own level, finer, coarser. Each leaves a factor and a summand a channel: its norm times its attention.
        using WorkspaceBuffer moments = pass.Rent(ChannelMoments.PartialFloats(size.Cells, _channels));
        using WorkspaceBuffer factors = pass.Rent(3, _channels);
        using WorkspaceBuffer shift = pass.Rent(_channels);
        if (!pass.IsPlanning)
        {
            factors.Span.Clear();
            shift.Span.Clear();
        }

        int branches = 1 + (hasFiner ? 1 : 0) + (hasCoarser ? 1 : 0);
        using WorkspaceBuffer first = pass.Rent(size.Cells, _channels);
        _own.Convolve(pass, own, size, 1, offsets, masks, first, moments);
        Weigh(pass, _own, moments, size.Cells, [], size.Cells, branches, Row(factors, 0), shift);

        using WorkspaceBuffer second = pass.Rent(hasFiner ? size.Cells : 0, _channels);
        if (hasFiner)
        {
            _finer.Convolve(pass, pyramid.Level(x, level - 1, _channels), pyramid[level - 1], 2, offsets, masks, second, moments);
            Weigh(pass, _finer, moments, size.Cells, [], size.Cells, branches, Row(factors, 1), shift);
        }

        // Runs at the coarser level's size on this level's offsets (trap T13); the norm is that map's own, the attention sees the enlarged one.
        MapSize small = hasCoarser ? pyramid[level + 1] : default;
        using WorkspaceBuffer third = pass.Rent(small.Cells, _channels);
        if (hasCoarser)
        {
            using WorkspaceBuffer coarseMoments = pass.Rent(ChannelMoments.PartialFloats(small.Cells, _channels));
            _coarser.Convolve(pass, pyramid.Level(x, level + 1, _channels), small, 1, offsets, masks, third, coarseMoments);
            BilinearResize.AlignCorners(kernels, third, small.Height, small.Width, _channels, [], size.Height, size.Width, moments);
            Weigh(pass, _coarser, coarseMoments, small.Cells, moments, size.Cells, branches, Row(factors, 2), shift);
        }

        ChannelMaps.WeightedSum(kernels, first, second, third, small.Height, small.Width, factors, shift, size.Height, size.Width, y, moments);
        using WorkspaceBuffer means = pass.Rent(_channels);
        if (!pass.IsPlanning)
            ChannelMoments.Means(moments, size.Cells, means);
        _relu.Forward(pass, y, size.Cells, means, y);
    }

    private Span<float> Row(Span<float> factors, int branch) => factors.Slice(branch * _channels, _channels);

    /// <summary>
    /// Turns a branch's moments into its factor of the weighted sum, and adds its share of the sum's shift:
    /// <c>a = hsig(relu(w·mean(b) + c))</c>, share = a / branches.
    /// </summary>
    /// <param name="pass">How.</param>
    /// <param name="branch">Whose norm.</param>
    /// <param name="moments">Of the convolution's output.</param>
    /// <param name="cells">Its cells.</param>
    /// <param name="seen">Moments of the map that the attention averages, if another: the enlarged one.</param>
    /// <param name="seenCells">Its cells.</param>
    /// <param name="branches">K.</param>
    /// <param name="factor">[C], result.</param>
    /// <param name="shift">[C], added to.</param>
    private void Weigh(
        ForwardPass pass, Branch branch, ReadOnlySpan<float> moments, int cells, ReadOnlySpan<float> seen, int seenCells, int branches,
        Span<float> factor, Span<float> shift)
    {
        using WorkspaceBuffer summands = pass.Rent(_channels);
        using WorkspaceBuffer means = pass.Rent(_channels);
        if (pass.IsPlanning)
            return;
        GroupNorm.Affine(moments, cells, _groups, NormEpsilon, branch.Norm.Gamma, branch.Norm.Beta, factor, summands);
        ChannelMoments.Means(seen.IsEmpty ? moments : seen, seenCells, means);
        // Products and sums apart: a combined call may fuse them, where the processor can.
        TensorPrimitives.Multiply(means, factor, means);
        TensorPrimitives.Add(means, summands, means);
        float attention = MathF.Max(PortableMath.Dot(_attention, means) + _attentionBias, 0);
        float share = Math.Min(attention + 3, 6) / 6 / branches;
        TensorPrimitives.Multiply(factor, share, factor);
        TensorPrimitives.Multiply(summands, share, summands);
        TensorPrimitives.Add(summands, shift, shift);
    }

    /// <summary>A deformable convolution and the norm behind it.</summary>
    private sealed class Branch(WeightReader weights, int channels)
    {
        private readonly PackedMatrix _convolution = weights.Convolution("conv", channels, channels, 3);

        public NormWeights Norm { get; } = weights.Norm("bn", channels);

        public void Convolve(
            ForwardPass pass, ReadOnlySpan<float> x, MapSize size, int stride, ReadOnlySpan<float> offsets, ReadOnlySpan<float> masks, Span<float> y, Span<float> moments) =>
            ModulatedDeformConv2d.Forward(pass.Kernels, x, size.Height, size.Width, channels, stride, offsets, masks, _convolution, y, moments);
    }
}
