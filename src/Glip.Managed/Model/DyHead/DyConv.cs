using System.Numerics.Tensors;
using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.DyHead;

/// <summary>One DyHead layer (Dai et al., CVPR 2021): per level, deformable convolutions of itself and its neighbours, weighted by attention, then dynamic ReLU.</summary>
internal sealed class DyConv
{
    private const float NormEpsilon = 1e-5f;
    private const int MotionChannels = ModulatedDeformConv2d.OffsetChannels + ModulatedDeformConv2d.Taps;

    // Branches by their modules' numbers in the checkpoint.
    private const int Coarser = 0;
    private const int Own = 1;
    private const int Finer = 2;
    private const int Branches = 3;

    private readonly int _channels;
    private readonly int _groups;
    private readonly PackedMatrix[] _convolutions = new PackedMatrix[Branches];
    private readonly NormWeights[] _norms = new NormWeights[Branches];
    private readonly WinogradFilter _offset;
    private readonly float[] _attention;
    private readonly float _attentionBias;
    private readonly DyRelu _relu;

    public DyConv(WeightReader weights, int channels, int groups)
    {
        _channels = channels;
        _groups = groups;
        for (int branch = 0; branch < Branches; branch++)
        {
            WeightReader module = weights.Under($"DyConv.{branch}.");
            _convolutions[branch] = module.Convolution("conv", channels, channels, 3);
            _norms[branch] = module.Norm("bn", channels);
        }

        // Small, and used for every level: transforming it each time would cost more than its memory.
        _offset = weights.Winograd("offset", MotionChannels, channels, transformed: true);
        _attention = weights.Values("AttnConv.1.weight", 1, channels, 1, 1);
        _attentionBias = weights.Scalar("AttnConv.1.bias");
        _relu = new DyRelu(weights.Under("relu."), channels);
    }

    /// <summary>All levels of <paramref name="x"/> [A, C] to <paramref name="y"/> [A, C]; every level reads the layer's input.</summary>
    public void Forward(ForwardPass pass, ReadOnlySpan<float> x, Pyramid pyramid, Span<float> y)
    {
        pass.Checkpoint();
        using WorkspaceBuffer motion = pass.Rent(pyramid.Cells, MotionChannels);
        for (int level = 0; level < pyramid.Levels; level++)
            Move(pass, pyramid.Level(x, level, _channels), pyramid[level], pyramid.Level(motion.Span, level, MotionChannels));

        Span<DeformableMap> maps = stackalloc DeformableMap[Branches * pyramid.Levels];
        (int resultFloats, int momentFloats) = Place(pyramid, maps);
        using WorkspaceBuffer results = pass.Rent(resultFloats);
        using WorkspaceBuffer moments = pass.Rent(momentFloats);
        ModulatedDeformConv2d.ForwardAll(pass.Kernels, _convolutions, _channels, maps, x, motion, motion, results, moments);
        for (int level = 0; level < pyramid.Levels; level++)
            Join(pass, maps.Slice(level * Branches, Branches), results, moments, pyramid[level], pyramid.Level(y, level, _channels));
    }

    /// <summary>A level's offsets and masks, [27, H, W].</summary>
    private void Move(ForwardPass pass, ReadOnlySpan<float> x, MapSize size, Span<float> motion)
    {
        WinogradConv2d.Forward(pass.Kernels, x, size.Height, size.Width, _offset, motion, planar: true);
        Span<float> masks = motion[(ModulatedDeformConv2d.OffsetChannels * size.Cells)..];
        Elementwise.Sigmoid(pass.Kernels, masks, masks);
    }

    /// <summary>Lists the convolutions, three a level, those that a level lacks without cells. Returns the floats of their results and of these results' moments.</summary>
    private (int Results, int Moments) Place(Pyramid pyramid, Span<DeformableMap> maps)
    {
        int results = 0, moments = 0;
        for (int i = 0; i < maps.Length; i++)
        {
            int level = i / Branches, branch = i % Branches, from = level + Own - branch, motion = pyramid.Start(level) * MotionChannels;
            bool exists = from >= 0 && from < pyramid.Levels;

            // The coarser level's convolution runs at that level's size, but on this level's offsets and masks (trap T13).
            MapSize input = exists ? pyramid[from] : default, output = exists && branch != Coarser ? pyramid[level] : input;
            maps[i] = new DeformableMap(
                branch, input.Height, input.Width, Stride: branch == Finer ? 2 : 1, X: exists ? pyramid.Start(from) * _channels : 0,
                motion, motion + (ModulatedDeformConv2d.OffsetChannels * pyramid[level].Cells), results, moments);
            results = checked(results + (output.Cells * _channels));
            moments = checked(moments + ChannelMoments.PartialFloats(output.Cells, _channels));
        }

        return (results, moments);
    }

    /// <summary>A level's branches to its output: norms, attention, sum, dynamic ReLU.</summary>
    private void Join(
        ForwardPass pass, ReadOnlySpan<DeformableMap> maps, ReadOnlySpan<float> results, ReadOnlySpan<float> moments, MapSize size, Span<float> y)
    {
        KernelContext kernels = pass.Kernels;
        MapSize small = new(maps[Coarser].Height, maps[Coarser].Width), finer = maps[Finer].Height > 0 ? size : default;
        int branches = 1 + (finer.Cells > 0 ? 1 : 0) + (small.Cells > 0 ? 1 : 0);

        // Branches in the original's order: own level, finer, coarser. Each leaves a factor and a summand a channel: its norm times its attention.
        using WorkspaceBuffer factors = pass.Rent(Branches, _channels);
        using WorkspaceBuffer shift = pass.Rent(_channels);
        using WorkspaceBuffer sumMeans = pass.Rent(_channels);
        using WorkspaceBuffer lines = pass.Rent(4, _channels);
        if (!pass.IsPlanning)
        {
            factors.Span.Clear();
            shift.Span.Clear();
            sumMeans.Span.Clear();
        }

        Weigh(pass, maps[Own], moments, size.Cells, [], branches, Row(factors, 0), shift, sumMeans);
        if (finer.Cells > 0)
            Weigh(pass, maps[Finer], moments, size.Cells, [], branches, Row(factors, 1), shift, sumMeans);
        ReadOnlySpan<float> coarser = Result(results, maps[Coarser], small);
        if (small.Cells > 0)
        {
            // The norm is the small map's own, the attention sees the enlarged one.
            using WorkspaceBuffer means = pass.Rent(_channels);
            BilinearResize.Means(kernels, coarser, small.Height, small.Width, _channels, size.Height, size.Width, means);
            Weigh(pass, maps[Coarser], moments, small.Cells, means, branches, Row(factors, 2), shift, sumMeans);
        }

        // The sum's means are those of its branches, weighted alike: the ReLU that depends on them can be applied while the sum is made.
        _relu.Lines(pass, sumMeans, lines);
        ChannelMaps.ActivatedSum(
            kernels, Result(results, maps[Own], size), Result(results, maps[Finer], finer), coarser, small.Height, small.Width, factors, shift, lines, size.Height, size.Width, y);
    }

    private ReadOnlySpan<float> Result(ReadOnlySpan<float> results, in DeformableMap map, MapSize size) => results.Slice(map.Y, size.Cells * _channels);

    private Span<float> Row(Span<float> factors, int branch) => factors.Slice(branch * _channels, _channels);

    /// <summary>
    /// Turns a branch's moments into its factor of the weighted sum, and adds its share of the sum's shift:
    /// <c>a = hsig(relu(w·mean(b) + c))</c>, share = a / branches.
    /// </summary>
    /// <param name="pass">How.</param>
    /// <param name="map">The branch's convolution.</param>
    /// <param name="moments">Of all convolutions' outputs.</param>
    /// <param name="cells">Cells of this one's.</param>
    /// <param name="seen">[C], means of the map that the attention sees, or empty if that is this output.</param>
    /// <param name="branches">K.</param>
    /// <param name="factor">[C], result.</param>
    /// <param name="shift">[C], added to.</param>
    /// <param name="sumMeans">[C], the means of the weighted sum, added to.</param>
    private void Weigh(
        ForwardPass pass, in DeformableMap map, ReadOnlySpan<float> moments, int cells, ReadOnlySpan<float> seen, int branches,
        Span<float> factor, Span<float> shift, Span<float> sumMeans)
    {
        using WorkspaceBuffer summands = pass.Rent(_channels);
        using WorkspaceBuffer means = pass.Rent(_channels);
        if (pass.IsPlanning)
            return;
        NormWeights norm = _norms[map.Weight];
        GroupNorm.Affine(moments[map.Moments..], cells, _groups, NormEpsilon, norm.Gamma, norm.Beta, factor, summands, means);
        if (!seen.IsEmpty)
            seen.CopyTo(means);

        // Products and sums apart: a combined call may fuse them, where the processor can.
        TensorPrimitives.Multiply(means, factor, means);
        TensorPrimitives.Add(means, summands, means);
        float attention = MathF.Max(PortableMath.Dot(_attention, means) + _attentionBias, 0);
        float share = Math.Min(attention + 3, 6) / 6 / branches;
        TensorPrimitives.Multiply(factor, share, factor);
        TensorPrimitives.Multiply(summands, share, summands);
        TensorPrimitives.Add(summands, shift, shift);
        TensorPrimitives.Multiply(means, share, means);
        TensorPrimitives.Add(means, sumMeans, sumMeans);
    }
}
