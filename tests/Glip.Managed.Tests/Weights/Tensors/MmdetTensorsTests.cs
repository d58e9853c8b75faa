using System.Runtime.InteropServices;
using Glip.Managed;
using Glip.Managed.Weights;
using Glip.WeightsTools;
using Glip.WeightsTools.Tensors;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Tests.Weights;

public sealed class MmdetTensorsTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_checkpoint_of_mmdetection_becomes_the_same_model_file()
    {
        byte[] original = Convert(Tensors());
        byte[] mmdet = Convert([.. Tensors().Select(ToMmdet)]);
        Assert.Equal(original, mmdet);
    }

    [Theory]
    [InlineData("backbone.patch_embed.projection.bias", "backbone.body.patch_embed.proj.bias")]
    [InlineData("backbone.patch_embed.norm.bias", "backbone.body.patch_embed.norm.bias")]
    [InlineData("backbone.stages.2.blocks.5.ffn.layers.0.0.weight", "backbone.body.layers.2.blocks.5.mlp.fc1.weight")]
    [InlineData("backbone.stages.2.blocks.5.ffn.layers.1.weight", "backbone.body.layers.2.blocks.5.mlp.fc2.weight")]
    [InlineData("backbone.stages.0.blocks.1.attn.w_msa.relative_position_index", "backbone.body.layers.0.blocks.1.attn.relative_position_index")]
    [InlineData("backbone.norm3.weight", "backbone.body.norm3.weight")]
    [InlineData("neck.lateral_convs.0.conv.weight", "backbone.fpn.fpn_inner2.weight")]
    [InlineData("neck.fpn_convs.2.conv.weight", "backbone.fpn.fpn_layer4.weight")]
    [InlineData("neck.fpn_convs.4.conv.bias", "backbone.fpn.top_blocks.p7.bias")]
    [InlineData("language_model.language_backbone.body.model.embeddings.LayerNorm.bias", "language_backbone.body.model.embeddings.LayerNorm.bias")]
    [InlineData("bbox_head.head.scales.3.scale", "rpn.head.scales.3.scale")]
    [InlineData("bbox_head.head.dyhead_tower.0.b_attn.attn.v_proj.weight", "rpn.head.dyhead_tower.0.b_attn.attn.v_proj.weight")]
    [InlineData("data_preprocessor.mean", "data_preprocessor.mean")]
    public void Names_are_those_of_the_original(string mmdet, string original) => Assert.Equal(original, MmdetTensors.OriginalName(mmdet));

    [Fact]
    public void A_parameter_under_both_names_is_refused()
    {
        List<Tensor> tensors = [.. Tensors().Select(ToMmdet), new("rpn.head.bias0", TensorType.F32, [1], new byte[4])];
        Refusal.Expect<GlipFormatException>("'rpn.head.bias0' and 'bbox_head.head.bias0' are the same parameter", () => Convert(tensors));
    }

    private static Tensor ToMmdet(Tensor tensor)
    {
        string name = tensor.Name switch
        {
            var n when n.StartsWith("backbone.body.layers.", StringComparison.Ordinal) => n.Replace("backbone.body.layers", "backbone.stages", StringComparison.Ordinal)
                .Replace("attn.", "attn.w_msa.", StringComparison.Ordinal)
                .Replace("mlp.fc1", "ffn.layers.0.0", StringComparison.Ordinal)
                .Replace("mlp.fc2", "ffn.layers.1", StringComparison.Ordinal),
            var n when n.StartsWith("backbone.body.", StringComparison.Ordinal) =>
                n.Replace("backbone.body.", "backbone.", StringComparison.Ordinal).Replace("embed.proj.", "embed.projection.", StringComparison.Ordinal),
            var n when n.StartsWith("backbone.fpn.fpn_inner", StringComparison.Ordinal) => $"neck.lateral_convs.{n[22] - '2'}.conv{n[23..]}",
            var n when n.StartsWith("backbone.fpn.fpn_layer", StringComparison.Ordinal) => $"neck.fpn_convs.{n[22] - '2'}.conv{n[23..]}",
            var n when n.StartsWith("backbone.fpn.top_blocks.p", StringComparison.Ordinal) => $"neck.fpn_convs.{n[25] - '3'}.conv{n[26..]}",
            var n when n.StartsWith("language_backbone.", StringComparison.Ordinal) => "language_model." + n,
            var n => n.Replace("rpn.", "bbox_head.", StringComparison.Ordinal),
        };
        return tensor.Name.Contains(".downsample.", StringComparison.Ordinal)
            ? tensor with { Name = name, Bytes = Unfolded(tensor) }
            : tensor with { Name = name };
    }

    /// <summary>Column (x, y, c) of a patch [2, 2, C], the original's order, moved to (c, y, x), that of an unfolding.</summary>
    private static byte[] Unfolded(Tensor tensor)
    {
        ReadOnlySpan<float> from = MemoryMarshal.Cast<byte, float>(tensor.Bytes);
        var to = new float[from.Length];
        int columns = tensor.Shape[^1], channels = columns / 4;
        for (int i = 0; i < from.Length; i++)
        {
            int x = i % columns / (2 * channels), y = i % (2 * channels) / channels, c = i % channels;
            to[(i / columns * columns) + (c * 4) + (y * 2) + x] = from[i];
        }

        return MemoryMarshal.AsBytes(to.AsSpan()).ToArray();
    }

    private byte[] Convert(List<Tensor> tensors)
    {
        CheckpointConverter.Convert(new()
        {
            Source = _folder.Write("x.pth", Checkpoint(tensors)),
            Config = Config,
            VocabularyPath = _folder.Write("vocab.txt", VocabularyBytes),
            Target = _folder.File("out"),
        });
        return File.ReadAllBytes(_folder.File("out"));
    }
}
