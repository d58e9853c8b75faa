using System.Globalization;
using Glip.Managed.Model;
using Glip.Managed.Weights;

namespace Glip.Cli;

/// <summary>The facts about a model that <c>inspect</c> prints.</summary>
internal sealed record ModelReport
{
    // In the order of computation; the first prefix that fits counts.
    private static readonly (string Part, string Prefix)[] _parts =
    [
        ("image backbone", "backbone.body."),
        ("feature pyramid", "backbone.fpn."),
        ("text encoder", "language_backbone."),
        ("tower", "rpn.head.dyhead_tower."),
        ("head", ""),
    ];

    public required string Name { get; init; }

    public required GlipConfig Config { get; init; }

    public required int VocabularyTokens { get; init; }

    public required int Tensors { get; init; }

    public required long[] PartParameters { get; init; }

    public required IReadOnlyList<(TensorType Type, int Tensors)> Types { get; init; }

    /// <summary>Reads every tensor's name, type and shape.</summary>
    public static ModelReport Of(WeightSource source, CancellationToken cancellationToken)
    {
        var partParameters = new long[_parts.Length];
        var types = new SortedDictionary<TensorType, int>();
        foreach (string name in source.TensorNames)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!source.TryGetTensor(name, out WeightTensor tensor))
                continue;
            long elements = 1;
            foreach (int dimension in tensor.Shape)
                elements *= dimension;
            partParameters[Array.FindIndex(_parts, p => name.StartsWith(p.Prefix, StringComparison.Ordinal))] += elements;
            types[tensor.Type] = types.GetValueOrDefault(tensor.Type) + 1;
        }

        return new ModelReport
        {
            Name = source.Name,
            Config = source.Config,
            VocabularyTokens = CountLines(source.Vocabulary.Span),
            Tensors = source.TensorNames.Count,
            PartParameters = partParameters,
            Types = [.. types.Select(t => (t.Key, t.Value))],
        };
    }

    public void WriteTo(TextWriter output)
    {
        SwinConfig swin = Config.Swin;
        Line("model", $"{Name} ({Config.Name})");
        Line("image backbone", $"Swin, width {swin.EmbedDim}, blocks {string.Join('-', swin.Depths)}, heads {string.Join('-', swin.Heads)}, window {swin.WindowSize}");
        Line("text encoder", $"BERT, width {Config.Bert.HiddenSize}, {Config.Bert.Layers} layers, {VocabularyTokens} tokens in the vocabulary, at most {Config.MaxQueryLength} in a prompt");
        Line("fusion", Config is { EarlyFuse: true, Fusion: { } fusion } ? $"{fusion.Heads} heads, inner width {fusion.EmbedDim}" : "none");
        Line("head", $"{Config.NumConvs} tower layers, width {Config.Channels}");
        Line("picture size", $"shorter side {Size(Config.Input.MinSize, "kept")}, longer side {Size(Config.Input.MaxSize, "unlimited", "at most ")}");
        Line("threshold", Config.DefaultThreshold.ToString(CultureInfo.InvariantCulture));
        Line("trained names", Config.Names.Count == 0 ? "open vocabulary" : string.Join(", ", Config.Names));
        Line("tensors", $"{Tensors} ({string.Join(", ", Types.Select(t => $"{t.Tensors} {t.Type}"))})");
        Line("parameters", Number(PartParameters.Sum()));
        for (int i = 0; i < _parts.Length; i++)
            Line($"  {_parts[i].Part}", Number(PartParameters[i]));

        void Line(string key, string value) => output.WriteLine($"{key,-18}{value}");
    }

    private static string Size(int value, string zero, string prefix = "") => value == 0 ? zero : string.Create(CultureInfo.InvariantCulture, $"{prefix}{value}");

    private static string Number(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);

    private static int CountLines(ReadOnlySpan<byte> text) =>
        text.Count((byte)'\n') + (text.IsEmpty || text[^1] == (byte)'\n' ? 0 : 1);
}
