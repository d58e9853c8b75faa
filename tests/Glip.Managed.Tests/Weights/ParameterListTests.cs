using System.IO.Compression;
using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;

namespace Glip.Tests.Weights;

public class ParameterListTests
{
    /// <summary>The manifests list every entry of the original models' state dicts: kind, name and shape.</summary>
    [Theory]
    [InlineData("glip-t-a", "glip_t_a", 151_430_526)]
    [InlineData("glip-t-b", "glip_t_c", 231_780_222)]
    [InlineData("glip-t-c", "glip_t_c", 231_780_222)]
    [InlineData("glip-t", "glip_t_c", 231_780_222)]
    [InlineData("glip-l", "glip_l", 430_422_384)]
    public void Published_models_have_the_parameters_of_the_original(string name, string manifest, long parametersOfTheOriginal)
    {
        using Stream file = File.OpenRead(TestData.Path("manifests", manifest + ".txt.gz"));
        using var reader = new StreamReader(new GZipStream(file, CompressionMode.Decompress));
        string[][] entries = [.. reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))];
        string[] expected =
        [
            .. entries
                .Where(e => e[0] == "param" && !e[1].StartsWith("rpn.head.cls_logits.", StringComparison.Ordinal))
                .Select(e => $"{e[1]} [{e[2]}]"),
        ];

        ModelParameter[] parameters = [.. ParameterList.Of(GlipConfig.Published(name))];

        Assert.Equal(expected, parameters.Select(p => $"{p.Name} {DisplayText.Shape(p.Shape)}"));
        const long classLogits = 80 * 256 + 80;
        Assert.Equal(parametersOfTheOriginal, classLogits + parameters.Sum(p => p.Shape.Aggregate(1L, (product, d) => product * d)));
    }

    [Theory]
    [InlineData("micro_a")]
    [InlineData("micro_b")]
    public void Small_models_have_the_parameters_of_the_original(string model)
    {
        byte[] json = File.ReadAllBytes(TestData.Path(model, "config.json"));
        using JsonDocument document = JsonDocument.Parse(json);
        string[] expected =
        [
            .. document.RootElement.GetProperty("state_dict").EnumerateObject()
                .Where(e => !IsBuffer(e.Name) && !e.Name.StartsWith("rpn.head.cls_logits.", StringComparison.Ordinal))
                .Select(e => $"{e.Name} [{string.Join(',', e.Value[0].EnumerateArray())}]"),
        ];

        Assert.Equal(expected, ParameterList.Of(GlipConfig.Parse(json, model)).Select(p => $"{p.Name} {DisplayText.Shape(p.Shape)}"));

        static bool IsBuffer(string name) =>
            name.EndsWith("relative_position_index", StringComparison.Ordinal)
            || name.EndsWith("position_ids", StringComparison.Ordinal)
            || name.Contains("cell_anchors", StringComparison.Ordinal);
    }

    [Fact]
    public void Sizes_that_no_tensor_can_have_are_refused()
    {
        GlipConfig config = GlipConfig.Published("glip-t");
        GlipConfig huge = config with { Swin = config.Swin with { WindowSize = 100_000 } };
        Refusal.Expect<GlipFormatException>("199999 x 199999", () => ParameterList.Of(huge).Count());
    }

    [Fact]
    public void The_first_parameters_of_an_endless_model_cost_nothing()
    {
        GlipConfig config = GlipConfig.Published("glip-t");
        GlipConfig endless = config with { Swin = config.Swin with { Depths = [int.MaxValue, 1, 1, 1] } };
        Assert.Equal("backbone.body.patch_embed.proj.weight", ParameterList.Of(endless).First().Name);
    }
}
