using System.Text;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools;
using Glip.WeightsTools.Tensors;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Tests.Weights;

public class ConfigInferenceTests
{
    [Theory]
    [InlineData("glip-t-a", "glip-t-a")]
    [InlineData("glip-t-b", "glip-t")] // one architecture
    [InlineData("glip-t", "glip-t")]
    [InlineData("glip-l", "glip-l")]
    public void Published_models_are_recognised_by_their_shapes(string model, string found)
    {
        using var shapes = new Shapes(GlipConfig.Published(model));
        Assert.Equal(GlipConfig.Published(found).ToJson(), ConfigInference.Infer(shapes).ToJson());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Shapes_and_the_number_of_heads_are_a_configuration(bool fused)
    {
        GlipConfig config = fused ? Config : Config with { Fusion = null, EarlyFuse = false, UseFusedFeaturesDotProduct = false };
        using var shapes = new Shapes(config);
        string json = """{ "config": "tiny", "bert": { "num_attention_heads": 2 }, "group_norm_groups": 2, "max_query_len": 8""";
        json += fused ? """, "fusion": { "n_head": 2 } }""" : " }";
        Assert.Equal(Encoding.UTF8.GetString(config.ToJson()), Encoding.UTF8.GetString(ConfigInference.Complete(Encoding.UTF8.GetBytes(json), "here", shapes).ToJson()));
    }

    [Fact]
    public void What_shapes_do_not_decide_is_asked_for()
    {
        using var shapes = new Shapes(Config);
        Refusal.Expect<GlipFormatException>(
            "tensors: shapes do not decide bert.num_attention_heads and fusion.n_head: name a published model or a JSON file that has it with --config",
            () => ConfigInference.Infer(shapes));
        Refusal.Expect<GlipFormatException>(
            "here: shapes do not decide fusion.n_head",
            () => ConfigInference.Complete("""{ "bert": { "num_attention_heads": 2 } }"""u8, "here", shapes));
    }

    [Fact]
    public void What_the_file_says_stands_above_shapes()
    {
        using var shapes = new Shapes(Config);
        byte[] json = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(Config.ToJson()).Replace("\"EMBED_DIM\":2", "\"EMBED_DIM\":6", StringComparison.Ordinal));
        Assert.Equal(6, ConfigInference.Complete(json, "here", shapes).Swin.EmbedDim); // and the conversion then names the tensor that differs
    }

    [Fact]
    public void Other_files_are_refused()
    {
        using var shapes = new Shapes(Config);
        foreach (string json in (string[])["", "[]", "{", "null", """{ "swin": {}, "swin": {} }"""])
            Refusal.Expect<GlipFormatException>("here: not a GLIP configuration", () => ConfigInference.Complete(Encoding.UTF8.GetBytes(json), "here", shapes));
        using var none = new Shapes(Config, _ => false);
        Refusal.Expect<GlipFormatException>("relative_position_bias_table' is missing, from which the configuration would follow", () => ConfigInference.Infer(none));
        using var flat = new Shapes(Config, rank: 1);
        Refusal.Expect<GlipFormatException>("expected 2 dimensions, found [9]", () => ConfigInference.Infer(flat));
    }

    /// <summary>A file of which only names and shapes are known.</summary>
    private sealed class Shapes(GlipConfig config, Func<string, bool>? has = null, int rank = int.MaxValue) : TensorFile
    {
        private readonly Dictionary<string, int[]> _shapes =
            ParameterList.Of(config).Where(p => has?.Invoke(p.Name) ?? true).ToDictionary(p => p.Name, p => p.Shape.Take(rank).ToArray());

        public override string Path => "tensors";

        public override string Kind => "shapes";

        public override IReadOnlyCollection<string> Names => _shapes.Keys;

        public override bool TryDescribe(string name, out TensorType type, out int[] shape)
        {
            type = TensorType.F32;
            return _shapes.TryGetValue(name, out shape!);
        }

        public override Stream OpenTensor(string name) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
        }
    }
}
