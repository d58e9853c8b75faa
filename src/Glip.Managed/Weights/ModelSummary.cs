using System.Globalization;
using Glip.Managed.Model;

namespace Glip.Managed.Weights;

/// <summary>What a model file holds, for people: sizes, parameters by part, element types.</summary>
internal sealed record ModelSummary
{
    private static readonly (string Title, string Prefix)[] PartPrefixes =
    [
        ("image backbone", "backbone.body."),
        ("FPN", "backbone.fpn."),
        ("text encoder", "language_backbone."),
        ("tower", "rpn.head.dyhead_tower."),
        ("rest", ""),
    ];

    /// <summary>What the file is called.</summary>
    public required string Name { get; init; }

    /// <summary>Bytes of the whole file.</summary>
    public required long Bytes { get; init; }

    /// <summary>The model's sizes.</summary>
    public required GlipConfig Config { get; init; }

    /// <summary>Tokens of the vocabulary.</summary>
    public required int Tokens { get; init; }

    /// <summary>Weight tensors.</summary>
    public required int Tensors { get; init; }

    /// <summary>Elements of all weight tensors.</summary>
    public required long Parameters { get; init; }

    /// <summary>Elements by part of the model, with the prefix that the part's names share.</summary>
    public required IReadOnlyList<(string Title, string Prefix, long Parameters)> Parts { get; init; }

    /// <summary>Tensors of each element type that occurs.</summary>
    public required IReadOnlyList<(TensorType Type, int Tensors)> Types { get; init; }

    /// <summary>Summarises an open model file.</summary>
    public static ModelSummary Of(ModelFile model)
    {
        var parts = new long[PartPrefixes.Length];
        foreach (SafetensorsEntry entry in model.Entries)
        {
            int part = Array.FindIndex(PartPrefixes, p => entry.Name.StartsWith(p.Prefix, StringComparison.Ordinal));
            parts[part] += entry.ByteCount / entry.Type.ByteSize();
        }

        return new ModelSummary
        {
            Name = model.Name,
            Bytes = model.Length,
            Config = model.Config,
            Tokens = VocabularyText.CountTokens(model.Vocabulary.Span),
            Tensors = model.Entries.Count,
            Parameters = parts.Sum(),
            Parts = [.. PartPrefixes.Zip(parts, (p, count) => (p.Title, p.Prefix, count))],
            Types = [.. model.Entries.CountBy(e => e.Type).OrderBy(t => t.Key).Select(t => (t.Key, t.Value))],
        };
    }

    /// <summary>Writes the summary as aligned text.</summary>
    public void WriteTo(TextWriter output)
    {
        SwinConfig swin = Config.Swin;
        Line("file", $"{Name}, {DisplayText.Bytes(Bytes)}");
        Line("model", Config.Name);
        Line("image backbone", $"Swin {swin.EmbedDim}, blocks {Join(swin.Depths)}, heads {Join(swin.Heads)}, window {swin.WindowSize}");
        Line("text encoder", $"BERT {Config.Bert.HiddenSize}, {Config.Bert.Layers} layers, {Config.Bert.Heads} heads, {Tokens} tokens");
        Line("fusion", Config is { EarlyFuse: true, Fusion: { } fusion } ? $"{fusion.Heads} heads, inner width {fusion.EmbedDim}" : "none");
        Line("head", $"{Config.Channels} channels, {Config.NumConvs} layers, anchors of {Config.AnchorScale.ToString(CultureInfo.InvariantCulture)} strides");
        Line("test image", $"shorter side {Config.Input.MinSize}, longer side at most {Config.Input.MaxSize}");
        Line("names", Config.Names.Count == 0 ? "open vocabulary" : $"{Config.Names.Count}: {string.Join(", ", Config.Names)}");
        Line("tensors", $"{Tensors} ({string.Join(", ", Types.Select(t => $"{t.Tensors} {t.Type.SafetensorsName()}"))})");
        Line("parameters", Count(Parameters));
        foreach ((string title, string prefix, long parameters) in Parts)
            output.WriteLine($"  {title,-15} {Count(parameters),13}  {(prefix.Length == 0 ? "" : prefix + "*")}".TrimEnd());

        void Line(string key, string value) => output.WriteLine($"{key,-15} {value}");
    }

    private static string Join(IReadOnlyList<int> numbers) => string.Join(',', numbers);

    private static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);
}
