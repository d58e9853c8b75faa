using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Fpn;

/// <summary>Feature pyramid network (Lin et al., CVPR 2017) with two levels on top: C3..C5 to P3..P7.</summary>
internal sealed class FeaturePyramid
{
    private static readonly ConvWindow s_half = new(3, 2, 1);
    private readonly int _channels;
    private readonly PackedMatrix[] _inner = new PackedMatrix[3];
    private readonly WinogradFilter[] _layer = new WinogradFilter[3];
    private readonly PackedMatrix _p6;
    private readonly PackedMatrix _p7;

    public FeaturePyramid(WeightReader weights, SwinConfig swin, int channels)
    {
        _channels = channels;
        for (int i = 0; i < 3; i++)
        {
            // The checkpoint counts from the second stage: fpn_inner2 reads C3.
            _inner[i] = weights.Convolution($"fpn_inner{i + 2}", channels, swin.Width(i + 1), 1);
            _layer[i] = weights.Winograd($"fpn_layer{i + 2}", channels, channels);
        }

        _p6 = weights.Convolution("top_blocks.p6", channels, channels, 3);
        _p7 = weights.Convolution("top_blocks.p7", channels, channels, 3);
    }

    /// <summary>Writes all levels into <paramref name="features"/> [A, C].</summary>
    public void Forward(ForwardPass pass, ReadOnlySpan<float> c3, ReadOnlySpan<float> c4, ReadOnlySpan<float> c5, Pyramid pyramid, Span<float> features)
    {
        KernelContext kernels = pass.Kernels;
        MapSize s3 = pyramid[0], s4 = pyramid[1], s5 = pyramid[2], s6 = pyramid[3];

        using WorkspaceBuffer m5 = pass.Rent(s5.Cells, _channels);
        Gemm.Linear(kernels, c5, s5.Cells, _inner[2], m5);
        Smooth(pass, m5, s5, _layer[2], pyramid.Level(features, 2, _channels));

        using WorkspaceBuffer m4 = pass.Rent(s4.Cells, _channels);
        Gemm.Linear(kernels, c4, s4.Cells, _inner[1], m4);
        NearestResize.Add(kernels, m5, s5.Height, s5.Width, _channels, m4, s4.Height, s4.Width);
        Smooth(pass, m4, s4, _layer[1], pyramid.Level(features, 1, _channels));

        using WorkspaceBuffer m3 = pass.Rent(s3.Cells, _channels);
        Gemm.Linear(kernels, c3, s3.Cells, _inner[0], m3);
        NearestResize.Add(kernels, m4, s4.Height, s4.Width, _channels, m3, s3.Height, s3.Width);
        Smooth(pass, m3, s3, _layer[0], pyramid.Level(features, 0, _channels));

        // P6 reads P5 (not C5), and hands on its values before the ReLU (trap T10).
        Conv2d.Forward(kernels, pyramid.Level(features, 2, _channels), s5.Height, s5.Width, _channels, s_half, _p6, pyramid.Level(features, 3, _channels));
        Conv2d.Forward(
            kernels, pyramid.Level(features, 3, _channels), s6.Height, s6.Width, _channels, s_half, _p7, pyramid.Level(features, 4, _channels), relu: true);
    }
    private static void Smooth(ForwardPass pass, ReadOnlySpan<float> x, MapSize size, WinogradFilter filter, Span<float> y)
    {
        using WorkspaceBuffer workspace = pass.Rent(filter.WorkspaceFloats);
        WinogradConv2d.Forward(pass.Kernels, x, size.Height, size.Width, filter, y, workspace: workspace);
    }
}
