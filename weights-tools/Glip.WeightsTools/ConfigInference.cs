using System.Text.Json;
using System.Text.Json.Nodes;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools;

/// <summary>Finds a model's configuration from what a checkpoint's shapes say and what the user adds.</summary>
internal static class ConfigInference
{
    private const string Layers = "backbone.body.layers";
    private const string Bert = "language_backbone.body.model";
    private const string Tower = "rpn.head.dyhead_tower";

    /// <summary>Sizes that no shape depends on and that have no usual value.</summary>
    private static readonly (string Section, string Key)[] s_undecided = [("bert", "num_attention_heads"), ("fusion", "n_head")];

    /// <summary>The configuration of a model, from its shapes alone if one of the published models has them.</summary>
    /// <exception cref="GlipFormatException">It is no published model, and something is left that shapes do not decide; or not a GLIP checkpoint.</exception>
    public static GlipConfig Infer(TensorFile file)
    {
        JsonObject inferred = FromShapes(file);

        // GLIP-T (B), (C) and GLIP-T are one architecture; the last name stands for all three.
        string? published = GlipConfig.PublishedNames.Reverse().FirstOrDefault(name => Agrees(inferred, ToObject(GlipConfig.Published(name).ToJson())));
        return published is not null ? GlipConfig.Published(published) : Parse(inferred, file.Path);
    }

    /// <summary>A configuration from a JSON text, completed by shapes where it is silent.</summary>
    /// <param name="json">UTF-8 text of an object as in FORMAT.md, where any key may be missing.</param>
    /// <param name="origin">What messages call the text: its path.</param>
    /// <param name="file">The checkpoint.</param>
    /// <exception cref="GlipFormatException">Not JSON, or something is missing that shapes do not decide.</exception>
    public static GlipConfig Complete(ReadOnlySpan<byte> json, string origin, TensorFile file)
    {
        JsonObject given;
        try
        {
            given = ToObject(json);
        }
        catch (JsonException e)
        {
            throw new GlipFormatException($"{origin}: not a GLIP configuration: {e.Message}", e);
        }

        JsonObject whole = FromShapes(file);
        foreach ((string key, JsonNode? value) in given)
        {
            if (value is JsonObject section && whole[key] is JsonObject inferred)
            {
                foreach ((string inner, JsonNode? number) in section)
                    inferred[inner] = number?.DeepClone();
            }
            else
            {
                whole[key] = value?.DeepClone();
            }
        }

        return Parse(whole, origin);
    }

    private static GlipConfig Parse(JsonObject config, string origin)
    {
        string[] missing = [.. s_undecided.Where(u => config[u.Section] is JsonObject section && section[u.Key] is null).Select(u => $"{u.Section}.{u.Key}")];
        if (missing.Length > 0)
        {
            throw new GlipFormatException(
                $"{origin}: shapes do not decide {string.Join(" and ", missing)}: name a published model or a JSON file that has it with --config");
        }

        return GlipConfig.Parse(JsonSerializer.SerializeToUtf8Bytes(config, ConfigJson.Default.JsonObject), origin);
    }

    /// <summary>Everything that shapes decide.</summary>
    private static JsonObject FromShapes(TensorFile file)
    {
        bool fused = file.TryDescribe($"{Tower}.0.b_attn.gamma_v", out _, out _);
        int[] tables = [.. Enumerable.Range(0, 4).Select(s => Shape(file, $"{Layers}.{s}.blocks.0.attn.relative_position_bias_table", 2)[0])];
        var config = new JsonObject
        {
            ["swin"] = new JsonObject
            {
                ["EMBED_DIM"] = Shape(file, "backbone.body.patch_embed.proj.weight", 4)[0],
                ["DEPTHS"] = Numbers(Enumerable.Range(0, 4).Select(s => CountWhile(i => file.TryDescribe($"{Layers}.{s}.blocks.{i}.norm1.weight", out _, out _)))),
                ["NUM_HEADS"] = Numbers(Enumerable.Range(0, 4).Select(s => Shape(file, $"{Layers}.{s}.blocks.0.attn.relative_position_bias_table", 2)[1])),
                ["WINDOW_SIZE"] = ((int)Math.Round(Math.Sqrt(tables[0])) + 1) / 2, // the table has (2w - 1)² rows
            },
            ["channels"] = Shape(file, "backbone.fpn.fpn_inner2.weight", 4)[0],
            ["num_convs"] = CountWhile(i => file.TryDescribe($"{Tower}.{(fused ? (3 * i) + 2 : i)}.offset.weight", out _, out _)),
            ["bert"] = new JsonObject
            {
                ["hidden_size"] = Shape(file, $"{Bert}.embeddings.word_embeddings.weight", 2)[1],
                ["vocab_size"] = Shape(file, $"{Bert}.embeddings.word_embeddings.weight", 2)[0],
                ["max_position_embeddings"] = Shape(file, $"{Bert}.embeddings.position_embeddings.weight", 2)[0],
                ["num_hidden_layers"] = CountWhile(i => file.TryDescribe($"{Bert}.encoder.layer.{i}.intermediate.dense.weight", out _, out _)),
                ["intermediate_size"] = Shape(file, $"{Bert}.encoder.layer.0.intermediate.dense.weight", 2)[0],
            },
            ["early_fuse"] = fused,
            ["use_fused_features_dot_product"] = fused, // so in all published models
        };
        if (fused)
            config["fusion"] = new JsonObject { ["embed_dim"] = Shape(file, $"{Tower}.0.b_attn.attn.v_proj.weight", 2)[0] };
        return config;
    }

    private static int[] Shape(TensorFile file, string name, int rank)
    {
        if (!file.TryDescribe(name, out _, out int[] shape))
            throw new GlipFormatException($"{file.Path}: tensor '{name}' is missing, from which the configuration would follow; is this a GLIP checkpoint?");
        return shape.Length == rank
            ? shape
            : throw new GlipFormatException($"{file.Path}: tensor '{name}' expected {rank} dimensions, found {DisplayText.Shape(shape)}");
    }

    private static int CountWhile(Func<int, bool> exists)
    {
        int count = 0;
        while (exists(count))
            count++;
        return count;
    }

    private static JsonArray Numbers(IEnumerable<int> numbers) => new([.. numbers.Select(n => JsonValue.Create(n))]);

    /// <summary>Whether a configuration has all values of <paramref name="inferred"/>.</summary>
    private static bool Agrees(JsonObject inferred, JsonObject published) => inferred.All(pair => pair.Value is JsonObject section
        ? published[pair.Key] is JsonObject other && Agrees(section, other)
        : JsonNode.DeepEquals(pair.Value, published[pair.Key]));

    private static JsonObject ToObject(ReadOnlySpan<byte> json) =>
        JsonNode.Parse(json, nodeOptions: null, new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonObject ?? throw new JsonException("expected a JSON object");
}
