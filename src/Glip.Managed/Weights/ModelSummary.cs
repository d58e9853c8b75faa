using System.Globalization;
using Glip.Managed.Model;

namespace Glip.Managed.Weights;

/// <summary>What a model is made of, for people: sizes, parameters by part, element types.</summary>
internal sealed record ModelSummary
{
    // In the order of computation; the first prefix that fits counts.
    private static readonly (string Title, string Prefix)[] PartPrefixes =
    [
        ("image backbone", "backbone.body."),
        ("FPN", "backbone.fpn."),
        ("text encoder", "language_backbone."),
        ("tower", "rpn.head.dyhead_tower."),
        ("rest", ""),
    ];

    /// <summary>What the source is called: a path, or <c>procedural:glip-t:77</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The model's sizes.</summary>
    public required GlipConfig Config { get; init; }

    /// <summary>Prompts that a model without text encoder serves; null for one with it.</summary>
    public IReadOnlyList<string>? StoredPrompts { get; init; }

    /// <summary>What the file was packed for; null if it holds plain parameters. Of a packed file, counts are those of its blocks, filling included.</summary>
    public PackedForm? Packed { get; init; }

    /// <summary>Tokens of the vocabulary.</summary>
    public required int Tokens { get; init; }

    /// <summary>Weight tensors.</summary>
    public required int Tensors { get; init; }

    /// <summary>Elements of all weight tensors.</summary>
    public required long Parameters { get; init; }

    /// <summary>Bytes of all weight tensors as the source has them.</summary>
    public required long Bytes { get; init; }

    /// <summary>Elements by part of the model, with the prefix that the part's names share.</summary>
    public required IReadOnlyList<(string Title, string Prefix, long Parameters)> Parts { get; init; }

    /// <summary>Tensors of each element type that occurs.</summary>
    public required IReadOnlyList<(TensorType Type, int Tensors)> Types { get; init; }

    /// <summary>Summarises an open source of weights. Reads no weight.</summary>
    public static ModelSummary Of(WeightSource source)
    {
        var elementsByName = new List<(string Name, long Elements)>();
        var types = new SortedDictionary<TensorType, int>();
        long bytes = 0;
        foreach (string name in source.TensorNames)
        {
            if (!source.TryDescribe(name, out TensorType type, out ReadOnlySpan<int> shape))
                throw new InvalidOperationException($"{source.Name} lists '{name}' but does not have it");
            long elements = 1;
            foreach (int dimension in shape)
                elements *= dimension;
            elementsByName.Add((name, elements));
            types[type] = types.GetValueOrDefault(type) + 1;
            bytes += elements * type.ByteSize();
        }

        return new ModelSummary
        {
            Name = source.Name,
            Config = source.Config,
            StoredPrompts = source.StoredPrompts?.Select(p => p.Caption).ToArray(),
            Packed = source.Packed?.Form,
            Tokens = VocabularyText.CountTokens(source.Vocabulary.Span),
            Tensors = source.TensorNames.Count,
            Parameters = elementsByName.Sum(e => e.Elements),
            Bytes = bytes,
            Parts = CountByPart(elementsByName),
            Types = Array.ConvertAll(types.ToArray(), t => (t.Key, t.Value)),
        };
    }

    /// <summary>Sums elements of tensors by the part of the model that they belong to, in the order of computation.</summary>
    public static IReadOnlyList<(string Title, string Prefix, long Parameters)> CountByPart(IEnumerable<(string Name, long Elements)> tensors)
    {
        var parts = new long[PartPrefixes.Length];
        foreach ((string name, long elements) in tensors)
            parts[Array.FindIndex(PartPrefixes, p => name.StartsWith(p.Prefix, StringComparison.Ordinal))] += elements;
        var result = new (string Title, string Prefix, long Parameters)[parts.Length];
        for (int i = 0; i < parts.Length; i++)
            result[i] = (PartPrefixes[i].Title, PartPrefixes[i].Prefix, parts[i]);
        return result;
    }

    /// <summary>Writes the lines of <see cref="Parameters"/> and <see cref="Parts"/>.</summary>
    public static void WriteParts(IReadOnlyList<(string Title, string Prefix, long Parameters)> parts, TextWriter output)
    {
        output.WriteLine($"{"parameters",-15} {Count(parts.Sum(p => p.Parameters))}");
        foreach ((string title, string prefix, long parameters) in parts)
            output.WriteLine($"  {title,-15} {Count(parameters),13}  {(prefix.Length == 0 ? "" : prefix + "*")}".TrimEnd());
    }

    /// <summary>Writes the summary as aligned text.</summary>
    public void WriteTo(TextWriter output)
    {
        SwinConfig swin = Config.Swin;
        BertConfig bert = Config.Bert;
        Line("model", $"{Config.Name}, {Name}");
        Line("image backbone", $"Swin, width {swin.EmbedDim}, blocks {Join(swin.Depths)}, heads {Join(swin.Heads)}, window {swin.WindowSize}");
        Line("text encoder", StoredPrompts is not null ? "left out" : $"BERT, width {bert.HiddenSize}, {bert.Layers} layers, {bert.Heads} heads, {Tokens} tokens known, at most {Config.MaxQueryLength} in a prompt");
        foreach (string prompt in StoredPrompts ?? [])
            Line("stored prompt", DisplayText.Quote(prompt));
        Line("fusion", Config is { EarlyFuse: true, Fusion: { } fusion } ? $"{fusion.Heads} heads, inner width {fusion.EmbedDim}" : "none");
        Line("head", $"{Config.Channels} channels, {Config.NumConvs} layers, anchors of {Number(Config.AnchorScale)} strides");
        Line("picture size", PictureSize(Config.Input));
        Line("threshold", Number(Config.DefaultThreshold));
        Line("names", Config.Names.Count == 0 ? "open vocabulary" : $"{Config.Names.Count}: {string.Join(", ", Config.Names)}");
        Line("tensors", $"{Tensors} ({string.Join(", ", Array.ConvertAll([.. Types], t => $"{t.Tensors} {t.Type.SafetensorsName()}"))}), {DisplayText.Bytes(Bytes)}");
        if (Packed is not null)
            Line("packed for", $"{Packed.Isa}, panels of {Packed.Layout.Width} columns, from tensors of sha-256 {Packed.Source}");
        WriteParts(Parts, output);

        void Line(string key, string value) => output.WriteLine($"{key,-15} {value}");
    }

    private static string PictureSize(InputConfig input) => input switch
    {
        { MinSize: 0 } => "kept",
        { MaxSize: 0 } => $"shorter side {input.MinSize}",
        _ => $"shorter side {input.MinSize}, longer side at most {input.MaxSize}",
    };

    private static string Join(IReadOnlyList<int> numbers) => string.Join('-', numbers);

    private static string Number(float value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);
}
