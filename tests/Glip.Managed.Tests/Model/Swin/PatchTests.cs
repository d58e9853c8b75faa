using Glip.Kernels;
using Glip.Managed.Model;
using Glip.Managed.Model.Swin;

namespace Glip.Tests.Model.Swin;

public class PatchTests
{
    public static TheoryData<string, SimdIsa> Embeddings => RecordedLayer.Cases("patch_embed_13x18");

    public static TheoryData<string, SimdIsa> Mergings => RecordedLayer.Cases("patch_merging_6x10", "patch_merging_8x13", "patch_merging_11x13");

    [Theory]
    [MemberData(nameof(Embeddings))]
    public void Embedding_equals_the_recording_of_a_picture_padded_to_whole_patches(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int[] shape = layer.Shape("input"), output = layer.Shape("output");
        int colors = shape[1], height = shape[2], width = shape[3], channels = output[1];
        var padded = new MapSize(output[2] * PatchEmbed.PatchSize, output[3] * PatchEmbed.PatchSize);
        var image = new float[padded.Cells * colors];
        float[] picture = layer.Map("input");
        for (int y = 0; y < height; y++)
            picture.AsSpan(y * width * colors, width * colors).CopyTo(image.AsSpan(y * padded.Width * colors));

        var embed = new PatchEmbed(layer.Weights, channels);
        var x = new float[output[2] * output[3] * channels];
        layer.Run(pass => embed.Forward(pass, image, padded, x));
        RecordedLayer.AssertClose(layer.Map("output"), x, 1e-5);
    }

    [Theory]
    [MemberData(nameof(Mergings))]
    public void Merging_equals_the_recording_odd_sizes_included(string name, SimdIsa isa)
    {
        using var layer = new RecordedLayer(name, isa);
        int channels = layer.Shape("input")[2];
        var size = new MapSize(layer.Size("H"), layer.Size("W"));
        var merging = new PatchMerging(layer.Weights, channels);
        float[] x = layer.Values("input"), y = new float[size.Halved.Cells * 2 * channels];
        layer.Run(pass => merging.Forward(pass, x, size, y));
        RecordedLayer.AssertClose(layer.Values("output"), y, 1e-5);
    }
}
