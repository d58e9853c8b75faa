using Glip.Kernels;
using Glip.Managed.Memory;
using Glip.Managed.Weights;

namespace Glip.Managed.Model.Swin;

/// <summary>Swin transformer (Liu et al., ICCV 2021): four stages, of which the last three give C3, C4 and C5.</summary>
internal sealed class SwinBackbone
{
    /// <summary>Epsilon of all its layer norms.</summary>
    public const float NormEpsilon = 1e-5f;

    private const int Stages = 4;
    private static readonly string[] s_stageNames = ["swin.stage0", "swin.stage1", "swin.stage2", "swin.stage3"];
    private readonly SwinConfig _config;
    private readonly PatchEmbed _patchEmbed;
    private readonly SwinBlock[][] _blocks = new SwinBlock[Stages][];
    private readonly PatchMerging?[] _downsample = new PatchMerging?[Stages];
    private readonly NormWeights?[] _norms = new NormWeights?[Stages];

    public SwinBackbone(WeightReader weights, SwinConfig config)
    {
        _config = config;
        _patchEmbed = new PatchEmbed(weights.Under("patch_embed."), config.EmbedDim);
        for (int s = 0; s < Stages; s++)
        {
            int width = config.Width(s), heads = config.Heads[s];
            _blocks[s] = new SwinBlock[config.Depths[s]];
            for (int b = 0; b < _blocks[s].Length; b++)
                _blocks[s][b] = new SwinBlock(weights.Under($"layers.{s}.blocks.{b}."), width, heads, config.WindowSize, shifted: b % 2 == 1);
            _downsample[s] = s < Stages - 1 ? new PatchMerging(weights.Under($"layers.{s}.downsample."), width) : null;

            // Stage 0 has no norm: nobody reads its output.
            _norms[s] = s > 0 ? weights.Norm($"norm{s}", width) : null;
        }
    }

    /// <summary>[Hp, Wp, 3] to C3 [Hp/8·Wp/8, 2C], C4 [Hp/16·Wp/16, 4C], C5 [Hp/32·Wp/32, 8C].</summary>
    public void Forward(ForwardPass pass, ReadOnlySpan<float> image, MapSize imageSize, Span<float> c3, Span<float> c4, Span<float> c5)
    {
        var size = new MapSize(imageSize.Height / PatchEmbed.PatchSize, imageSize.Width / PatchEmbed.PatchSize);
        using WorkspaceBuffer x = pass.Rent(size.Cells, _config.EmbedDim);
        _patchEmbed.Forward(pass, image, imageSize, x);
        Stage(pass, 0, x, size);
        pass.Mark(s_stageNames[0]);
        pass.Trace?.Map("body.out.stage2", x, size.Height, size.Width, _config.EmbedDim);

        // A later stage's map is a quarter of the cells at twice the width: it takes half of the first one's memory, and stages follow each other in place.
        using WorkspaceBuffer next = pass.Rent(size.Halved.Cells, _config.Width(1));
        Span<float> from = x, to = next;
        for (int s = 1; s < Stages; s++)
        {
            _downsample[s - 1]!.Forward(pass, from, size, to);
            size = size.Halved;
            pass.Trace?.Tokens($"body.layers.{s - 1}.downsample", to, size.Cells, _config.Width(s));
            Stage(pass, s, to, size);
            Span<float> output = s == 1 ? c3 : s == 2 ? c4 : c5;
            NormWeights norm = _norms[s]!;
            LayerNorm.Forward(pass.Kernels, to, size.Cells, norm.Gamma, norm.Beta, NormEpsilon, output);
            pass.Mark(s_stageNames[s]);
            pass.Trace?.Map($"body.out.stage{s + 2}", output, size.Height, size.Width, _config.Width(s));
            Span<float> swap = from;
            from = to;
            to = swap;
        }
    }

    private void Stage(ForwardPass pass, int stage, Span<float> x, MapSize size)
    {
        for (int b = 0; b < _blocks[stage].Length; b++)
        {
            pass.Checkpoint();
            _blocks[stage][b].Forward(pass, x, size);
            pass.Trace?.Tokens($"body.layers.{stage}.blocks.{b}", x, size.Cells, _config.Width(stage));
        }
    }
}
