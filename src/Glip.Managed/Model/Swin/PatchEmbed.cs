using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Swin;

/// <summary>Cuts the image into 4×4 patches: convolution 4×4 stride 4, then layer norm.</summary>
internal sealed class PatchEmbed
{
    /// <summary>Pixels on a patch's side.</summary>
    public const int PatchSize = 4;

    private const int ImageChannels = 3;
    private readonly PackedMatrix _projection;
    private readonly NormWeights _norm;
    private readonly int _channels;

    public PatchEmbed(WeightReader weights, int channels)
    {
        _channels = channels;
        _projection = weights.Convolution("proj", channels, ImageChannels, PatchSize);
        _norm = weights.Norm("norm", channels);
    }

    /// <summary>[Hp, Wp, 3] to [Hp/4 · Wp/4, C].</summary>
    public void Forward(ForwardPass pass, ReadOnlySpan<float> image, MapSize imageSize, Span<float> x)
    {
        var window = new ConvWindow(PatchSize, PatchSize, 0);
        Conv2d.Forward(pass.Kernels, image, imageSize.Height, imageSize.Width, ImageChannels, window, _projection, x);
        int cells = imageSize.Cells / (PatchSize * PatchSize);
        LayerNorm.Forward(pass.Kernels, x, cells, _norm.Gamma, _norm.Beta, SwinBackbone.NormEpsilon, x);
        pass.Trace?.Map("body.patch_embed", x, imageSize.Height / PatchSize, imageSize.Width / PatchSize, _channels);
    }
}
