using System.Text.Json;
using System.Text.Json.Serialization;

namespace Glip.Managed.Model;

/// <summary>Everything that differs between GLIP models: sizes, topology switches and defaults. Stored as JSON inside the model file.</summary>
/// <remarks>
/// JSON names follow the original's configuration keys where it has them. Constants that no published model varies are
/// listed at the end with a sentence of why.
/// </remarks>
public sealed record GlipConfig
{
    /// <summary>A configuration of defaults and empty sizes, to be filled in.</summary>
    public GlipConfig()
        : this(name: "glip")
    {
    }

    // Generated JSON code writes zero over the default of an init property that the text lacks; it does respect the defaults of
    // constructor parameters. So all optional values have theirs here.
    [JsonConstructor]
    internal GlipConfig(
        string name = "glip",
        int groupNormGroups = 16,
        float anchorScale = 8,
        InputConfig? input = null,
        float defaultThreshold = 0.5f,
        IReadOnlyList<string>? names = null,
        int maxQueryLength = 256)
    {
        Name = name;
        GroupNormGroups = groupNormGroups;
        AnchorScale = anchorScale;
        Input = input ?? new();
        DefaultThreshold = defaultThreshold;
        Names = names ?? [];
        MaxQueryLength = maxQueryLength;
    }

    /// <summary>A short name: <c>glip-t</c>, <c>micro_b</c>.</summary>
    [JsonPropertyName("config")]
    public string Name { get; init; }

    /// <summary>Image backbone sizes.</summary>
    [JsonPropertyName("swin"), JsonRequired]
    public SwinConfig Swin { get; init; } = new();

    /// <summary>Channels of the FPN and of the head (256 in all published models).</summary>
    [JsonPropertyName("channels"), JsonRequired]
    public int Channels { get; init; }

    /// <summary>DyHead layers: 6 (GLIP-T) or 8 (GLIP-L).</summary>
    [JsonPropertyName("num_convs"), JsonRequired]
    public int NumConvs { get; init; }

    /// <summary>Text encoder sizes.</summary>
    [JsonPropertyName("bert"), JsonRequired]
    public BertConfig Bert { get; init; } = new();

    /// <summary>Deep fusion sizes; null for GLIP-T (A), which has none.</summary>
    [JsonPropertyName("fusion")]
    public FusionConfig? Fusion { get; init; }

    /// <summary>True if each DyHead layer is preceded by vision-language fusion and a text layer (GLIP-T B, C, GLIP-T, GLIP-L).</summary>
    [JsonPropertyName("early_fuse")]
    public bool EarlyFuse { get; init; }

    /// <summary>True if the head scores against the fused text, false if against BERT's own output (GLIP-T A).</summary>
    [JsonPropertyName("use_fused_features_dot_product")]
    public bool UseFusedFeaturesDotProduct { get; init; }

    /// <summary>Groups of the tower's group norms.</summary>
    [JsonPropertyName("group_norm_groups")]
    public int GroupNormGroups { get; init; }

    /// <summary>Side of an anchor in strides: 8 in all published models.</summary>
    [JsonPropertyName("anchor_scale")]
    public float AnchorScale { get; init; }

    /// <summary>Test image size.</summary>
    [JsonPropertyName("input")]
    public InputConfig Input { get; init; }

    /// <summary>Detections below this score are not reported unless the caller says otherwise.</summary>
    [JsonPropertyName("default_threshold")]
    public float DefaultThreshold { get; init; }

    /// <summary>Names that the model was trained to find; empty for an open vocabulary.</summary>
    [JsonPropertyName("names")]
    public IReadOnlyList<string> Names { get; init; }

    /// <summary>Longest token sequence, with the two specials (MAX_QUERY_LEN).</summary>
    [JsonPropertyName("max_query_len")]
    public int MaxQueryLength { get; init; }

    /// <summary>Pyramid levels P3..P7: three from the backbone, two on top. The original's code is written for five.</summary>
    [JsonIgnore]
    public int Levels => 5;

    /// <summary>Stride of P3 in pixels; each next level doubles it.</summary>
    [JsonIgnore]
    public int FirstStride => 8;

    /// <summary>Image sides are padded to multiples of this (SIZE_DIVISIBILITY), so that C3..C5 need no padding.</summary>
    [JsonIgnore]
    public int SizeDivisibility => 32;

    /// <summary>Candidates need a class probability above this (ATSS.INFERENCE_TH).</summary>
    [JsonIgnore]
    public float InferenceThreshold => 0.05f;

    /// <summary>Candidates kept per level (ATSS.PRE_NMS_TOP_N).</summary>
    [JsonIgnore]
    public int PreNmsTopN => 1000;

    /// <summary>Overlap above which the weaker box of a label is dropped (ATSS.NMS_TH).</summary>
    [JsonIgnore]
    public float NmsThreshold => 0.6f;

    /// <summary>Detections kept per image, ties aside (ATSS.DETECTIONS_PER_IMG).</summary>
    [JsonIgnore]
    public int DetectionsPerImage => 100;

    /// <summary>Reads and checks a configuration.</summary>
    /// <param name="json">UTF-8 JSON; unknown keys are ignored, so that a checkpoint's own description can be used as it is.</param>
    /// <param name="origin">What to call it in errors, a path say.</param>
    /// <exception cref="GlipFormatException">Not JSON, a size missing, or sizes that cannot belong together.</exception>
    public static GlipConfig Parse(ReadOnlySpan<byte> json, string origin)
    {
        GlipConfig? config;
        try
        {
            config = JsonSerializer.Deserialize(json, GlipConfigJson.Default.GlipConfig);
        }
        catch (JsonException e)
        {
            throw new GlipFormatException($"{origin}: not a GLIP configuration: {e.Message}", e);
        }

        if (config is null)
            throw new GlipFormatException($"{origin}: expected a JSON object, found null");
        config.Check(origin);
        return config;
    }

    /// <summary>The configuration as UTF-8 JSON, as <see cref="Parse"/> reads it.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, GlipConfigJson.Default.GlipConfig);

    /// <summary>One of the five published models by name: <c>glip-t-a</c>, <c>glip-t-b</c>, <c>glip-t-c</c>, <c>glip-t</c>, <c>glip-l</c>.</summary>
    /// <exception cref="ArgumentException">Another name.</exception>
    public static GlipConfig Published(string name)
    {
        var tiny = new GlipConfig
        {
            Name = name,
            Swin = new() { EmbedDim = 96, Depths = [2, 2, 6, 2], Heads = [3, 6, 12, 24], WindowSize = 7 },
            Channels = 256,
            NumConvs = 6,
            Bert = new() { HiddenSize = 768, Layers = 12, Heads = 12, IntermediateSize = 3072, VocabularySize = 30522, MaxPositions = 512 },
            Fusion = new() { Heads = 8, EmbedDim = 2048 },
            EarlyFuse = true,
            UseFusedFeaturesDotProduct = true,
        };
        return name switch
        {
            "glip-t" or "glip-t-b" or "glip-t-c" => tiny,
            "glip-t-a" => tiny with { Fusion = null, EarlyFuse = false, UseFusedFeaturesDotProduct = false },
            "glip-l" => tiny with
            {
                Swin = new() { EmbedDim = 192, Depths = [2, 2, 18, 2], Heads = [6, 12, 24, 48], WindowSize = 12 },
                NumConvs = 8,
            },
            _ => throw new ArgumentException($"'{name}' is not a published model: expected {string.Join(", ", PublishedNames)}", nameof(name)),
        };
    }

    /// <summary>Names that <see cref="Published"/> takes.</summary>
    public static IReadOnlyList<string> PublishedNames { get; } = ["glip-t-a", "glip-t-b", "glip-t-c", "glip-t", "glip-l"];

    private void Check(string origin)
    {
        Positive(Swin.EmbedDim, "swin.EMBED_DIM");
        Positive(Swin.WindowSize, "swin.WINDOW_SIZE");
        if (Swin.Depths.Count != 4 || Swin.Heads.Count != 4)
            Fail($"swin.DEPTHS and swin.NUM_HEADS must have 4 entries, found {Swin.Depths.Count} and {Swin.Heads.Count}");
        for (int s = 0; s < 4; s++)
        {
            Positive(Swin.Depths[s], $"swin.DEPTHS[{s}]");
            Divides(Swin.Heads[s], Swin.Width(s), $"swin.NUM_HEADS[{s}]", $"stage {s}'s width");
        }

        Positive(Channels, "channels");
        Positive(NumConvs, "num_convs");
        Divides(GroupNormGroups, Channels, "group_norm_groups", "channels");
        Positive(Bert.Layers, "bert.num_hidden_layers");
        Positive(Bert.IntermediateSize, "bert.intermediate_size");
        Positive(Bert.VocabularySize, "bert.vocab_size");
        Divides(Bert.Heads, Bert.HiddenSize, "bert.num_attention_heads", "bert.hidden_size");
        if (EarlyFuse && Fusion is null)
            Fail("early_fuse is true but fusion is missing");
        if (Fusion is { } fusion)
            Divides(fusion.Heads, fusion.EmbedDim, "fusion.n_head", "fusion.embed_dim");
        if (MaxQueryLength < 3 || MaxQueryLength > Bert.MaxPositions)
            Fail($"max_query_len must be 3..{Bert.MaxPositions} (bert.max_position_embeddings), found {MaxQueryLength}");
        if (!(AnchorScale > 0))
            Fail($"anchor_scale must be positive, found {AnchorScale}");
        if (!(DefaultThreshold is >= 0 and <= 1))
            Fail($"default_threshold must be 0..1, found {DefaultThreshold}");
        if (Input.MinSize < 0 || Input.MaxSize < 0)
            Fail($"input sizes must not be negative, found {Input.MinSize} and {Input.MaxSize}");

        void Positive(int value, string key)
        {
            if (value <= 0)
                Fail($"{key} must be positive, found {value}");
        }

        void Divides(int part, int whole, string partKey, string wholeKey)
        {
            Positive(part, partKey);
            Positive(whole, wholeKey);
            if (whole % part != 0)
                Fail($"{wholeKey} ({whole}) is not a multiple of {partKey} ({part})");
        }

        void Fail(string what) => throw new GlipFormatException($"{origin}: {what}");
    }
}

/// <summary>Swin transformer sizes (Liu et al., ICCV 2021).</summary>
public sealed record SwinConfig
{
    /// <summary>Width of stage 0; stage s has <c>EmbedDim · 2^s</c>.</summary>
    [JsonPropertyName("EMBED_DIM"), JsonRequired]
    public int EmbedDim { get; init; }

    /// <summary>Blocks of the four stages.</summary>
    [JsonPropertyName("DEPTHS"), JsonRequired]
    public IReadOnlyList<int> Depths { get; init; } = [];

    /// <summary>Attention heads of the four stages.</summary>
    [JsonPropertyName("NUM_HEADS"), JsonRequired]
    public IReadOnlyList<int> Heads { get; init; } = [];

    /// <summary>Window side in cells: 7 (Swin-T) or 12 (Swin-L).</summary>
    [JsonPropertyName("WINDOW_SIZE"), JsonRequired]
    public int WindowSize { get; init; }

    /// <summary>Channels of stage <paramref name="stage"/> (0..3).</summary>
    public int Width(int stage) => EmbedDim << stage;
}

/// <summary>BERT sizes (Devlin et al., 2019).</summary>
public sealed record BertConfig
{
    /// <summary>Empty sizes, to be filled in, and the usual number of positions.</summary>
    public BertConfig()
        : this(maxPositions: 512)
    {
    }

    [JsonConstructor]
    internal BertConfig(int maxPositions = 512) => MaxPositions = maxPositions;

    /// <summary>Width of a token.</summary>
    [JsonPropertyName("hidden_size"), JsonRequired]
    public int HiddenSize { get; init; }

    /// <summary>Encoder layers.</summary>
    [JsonPropertyName("num_hidden_layers"), JsonRequired]
    public int Layers { get; init; }

    /// <summary>Attention heads.</summary>
    [JsonPropertyName("num_attention_heads"), JsonRequired]
    public int Heads { get; init; }

    /// <summary>Width of the feed-forward part.</summary>
    [JsonPropertyName("intermediate_size"), JsonRequired]
    public int IntermediateSize { get; init; }

    /// <summary>Tokens in the vocabulary.</summary>
    [JsonPropertyName("vocab_size"), JsonRequired]
    public int VocabularySize { get; init; }

    /// <summary>Rows of the position table.</summary>
    [JsonPropertyName("max_position_embeddings")]
    public int MaxPositions { get; init; }
}

/// <summary>Bi-directional cross attention sizes (BiMultiHeadAttention).</summary>
public sealed record FusionConfig
{
    /// <summary>Heads: 8 in all published models.</summary>
    [JsonPropertyName("n_head"), JsonRequired]
    public int Heads { get; init; }

    /// <summary>Inner width of all heads together: 2048 in all published models.</summary>
    [JsonPropertyName("embed_dim"), JsonRequired]
    public int EmbedDim { get; init; }
}

/// <summary>Image size at test time, in pixels.</summary>
public sealed record InputConfig
{
    /// <summary>The sizes that the original evaluates with.</summary>
    public InputConfig()
        : this(minSize: 800)
    {
    }

    [JsonConstructor]
    internal InputConfig(int minSize = 800, int maxSize = 1333)
    {
        MinSize = minSize;
        MaxSize = maxSize;
    }

    /// <summary>Length that the shorter side is resized to; 0 keeps the picture as it is.</summary>
    [JsonPropertyName("min_size")]
    public int MinSize { get; init; }

    /// <summary>Cap on the longer side; 0 for none.</summary>
    [JsonPropertyName("max_size")]
    public int MaxSize { get; init; }
}

[JsonSerializable(typeof(GlipConfig))]
[JsonSourceGenerationOptions(RespectNullableAnnotations = true)]
internal sealed partial class GlipConfigJson : JsonSerializerContext;
