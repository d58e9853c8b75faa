using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Text;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;
using Glip.WeightsTools.Verification;

namespace Glip.WeightsTools;

/// <summary>What to convert, and to what.</summary>
internal sealed record ConversionRequest
{
    /// <summary>Path of the checkpoint: PyTorch's or safetensors; the original's names or mmdetection's; or a model file, to be written anew.</summary>
    public required string Source { get; init; }

    /// <summary>Path of the model file; written beside and then moved, nothing is left after a failure.</summary>
    public required string Target { get; init; }

    /// <summary>The model's sizes; null to infer them, with <see cref="ConfigPath"/>'s help if there is one.</summary>
    public GlipConfig? Config { get; init; }

    /// <summary>Path of a configuration that may be incomplete; null for none.</summary>
    public string? ConfigPath { get; init; }

    /// <summary>Path of a vocabulary, no longer than the model's word embeddings; null to take the source's own.</summary>
    public string? VocabularyPath { get; init; }

    /// <summary><see cref="TensorType.F32"/>, <see cref="TensorType.F16"/> or <see cref="TensorType.BF16"/>; see <see cref="StoredPrecision"/>.</summary>
    public TensorType Type { get; init; }

    /// <summary>Path of a recording of stages that goes into the model file; null to keep the one that the source has, if any.</summary>
    public string? GoldenPath { get; init; }

    /// <summary>Path of the prompts that a model without text encoder is to serve; null for a model with it.</summary>
    public string? StoredPromptsPath { get; init; }

    /// <summary>The text for which a checkpoint's prompt was tuned; null if it has none, or if that is to be left out.</summary>
    public string? TunedText { get; init; }

    /// <summary>Path of the prompt file to write; goes with <see cref="TunedText"/>.</summary>
    public string? TunedPromptPath { get; init; }

    /// <summary>How to read the source.</summary>
    public TensorFileOptions Reading { get; init; } = new();
}

/// <summary>What a conversion did.</summary>
/// <param name="Config">The configuration that was given or found.</param>
/// <param name="SourceKind">What the source is.</param>
/// <param name="Tensors">Weights written.</param>
/// <param name="Unneeded">Entries left out because inference computes or never uses them, counted by kind.</param>
/// <param name="Unknown">Entries left out that no GLIP model of this configuration has.</param>
/// <param name="LeavesTuningOut">Whether the checkpoint has a tuned prompt that was not asked for.</param>
/// <param name="StoredPrompts">Prompts in the model in place of the text encoder; 0 for a model with the encoder.</param>
/// <param name="SkippedSections">Parts of the checkpoint beside the model: optimiser, scheduler.</param>
/// <param name="LargestChange">Largest change of a value by rounding, in parts of its tensor's largest value; 0 for f32.</param>
/// <param name="MostChangedTensor">Where that was; null for f32.</param>
/// <param name="SpareEmbeddings">Word embeddings beyond the vocabulary's last token: some models round their number up.</param>
internal sealed record ConversionReport(
    GlipConfig Config,
    string SourceKind,
    int Tensors,
    IReadOnlyList<(string Kind, int Count)> Unneeded,
    IReadOnlyList<string> Unknown,
    bool LeavesTuningOut,
    int StoredPrompts,
    IReadOnlyList<string> SkippedSections,
    float LargestChange,
    string? MostChangedTensor,
    int SpareEmbeddings);

/// <summary>Makes a GLIP model file from a checkpoint, a configuration and a vocabulary. Tensors are streamed: memory does not grow with the model.</summary>
internal static class CheckpointConverter
{
    /// <summary>What prompt tuning learns: [1000, hidden], a row for each place in the prompt.</summary>
    public const string TunedRows = "rpn.tunable_linear.weight";

    /// <summary>Parts of names that checkpoints have beside the parameters: buffers, and layers whose output inference drops.</summary>
    private static readonly string[] s_unneededKinds =
    [
        "attn.relative_position_index", "embeddings.position_ids", "rpn.anchor_generator", "rpn.head.cls_logits",
        "language_backbone.body.model.pooler", "rpn.resizer",
    ];

    /// <summary>Converts.</summary>
    /// <param name="request">What to what.</param>
    /// <param name="cancellation">Stops between two tensors.</param>
    /// <exception cref="GlipFormatException">A file is not what it should be, or does not fit the configuration.</exception>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public static ConversionReport Convert(ConversionRequest request, CancellationToken cancellation = default)
    {
        using TensorFile source = MmdetTensors.OrOriginal(TensorFile.Open(request.Source, request.Reading));
        ModelPacker.RefusePacked(source);
        GlipConfig config = FindConfig(request, source);
        byte[] vocabulary = FindVocabulary(request, source, config);
        StageRecording? recording = request.GoldenPath is not null ? StageRecording.FromTrace(request.GoldenPath, allElements: false) : StageRecording.FromModel(source);
        IReadOnlyList<PromptRows>? stored = ReadStoredPrompts(source);
        if (stored is not null && request.StoredPromptsPath is not null)
            throw new GlipFormatException($"{source.Path}: has no text encoder to make prompts with: start from the model that has it");
        List<ModelParameter> parameters = FindParameters(source, config, withoutEncoder: stored is not null);
        if (request.StoredPromptsPath is not null)
        {
            stored = PromptEncoder.Encode(source, config, vocabulary, request.Type, request.StoredPromptsPath);
            parameters.RemoveAll(p => p.Name.StartsWith(ModelFile.TextEncoderPrefix, StringComparison.Ordinal));
        }

        if (stored is not null)
            recording = recording?.WithoutTextEncoder();
        PromptRows? tuned = request.TunedText is null ? null : ReadTunedPrompt(source, config, vocabulary, request.TunedText);
        List<(TensorDeclaration Declaration, byte[] Bytes)> extras = [];
        if (stored is not null)
        {
            float[] rows = [.. stored.SelectMany(p => p.Values)];
            extras.Add((new(ModelFile.PromptsTensor, TensorType.F32, [rows.Length / config.Bert.HiddenSize, config.Bert.HiddenSize]), MemoryMarshal.AsBytes(rows.AsSpan()).ToArray()));
        }

        extras.AddRange(recording?.ToTensors() ?? []);
        extras.Add((new(ModelFile.VocabularyTensor, TensorType.U8, [vocabulary.Length]), vocabulary));

        // Larger numbers come first, bytes last, so that all are aligned.
        IEnumerable<TensorDeclaration> weights = parameters.Select(p => new TensorDeclaration(p.Name, StoredPrecision.Of(p.Name, p.Shape, request.Type), p.Shape));
        List<TensorDeclaration> tensors = [.. weights.Concat(extras.Select(e => e.Declaration)).OrderByDescending(t => t.Type.ByteSize())];
        List<KeyValuePair<string, string>> metadata =
        [
            new(ModelFile.FormatKey, ModelFile.FormatVersion),
            new(ModelFile.ConfigKey, Encoding.UTF8.GetString(config.ToJson())),
        ];
        if (recording is not null)
            metadata.Add(new(StageRecording.MetadataKey, recording.ToJson()));
        if (stored is not null)
            metadata.Add(new(ModelFile.PromptsKey, PromptRows.ToJson(stored)));

        (float Change, string? Tensor) worst = (-1, null);
        using var writer = new SafetensorsWriter(request.Target, tensors, metadata);
        var rounder = new TensorRounder();
        Dictionary<string, byte[]> extraBytes = extras.ToDictionary(e => e.Declaration.Name, e => e.Bytes);
        foreach (TensorDeclaration tensor in tensors)
        {
            cancellation.ThrowIfCancellationRequested();
            if (extraBytes.TryGetValue(tensor.Name, out byte[]? whole))
            {
                writer.Write(tensor.Name, whole);
                continue;
            }

            float change = Copy(source, tensor, rounder, bytes => writer.Write(tensor.Name, bytes));
            if (change > worst.Change)
                worst = (change, tensor.Name);
        }

        if (tuned is not null)
            PromptFile.Write(request.TunedPromptPath!, tuned);
        writer.Commit();

        ILookup<string?, string> unused = source.Names.Except(ParameterList.Of(config).Select(p => p.Name)).Where(name => !ModelFile.IsOwnTensor(name)).ToLookup(UnneededKind);
        return new ConversionReport(
            config,
            source.Kind,
            parameters.Count,
            [.. s_unneededKinds.Where(unused.Contains).Select(kind => (kind, unused[kind].Count()))],
            [.. unused[null].Where(name => name != TunedRows)],
            tuned is null && unused[null].Contains(TunedRows),
            stored?.Count ?? 0,
            source.SkippedSections,
            Math.Max(worst.Change, 0),
            request.Type == TensorType.F32 ? null : worst.Tensor,
            config.Bert.VocabularySize - VocabularyText.CountTokens(vocabulary));
    }

    private static string? UnneededKind(string name) => Array.Find(s_unneededKinds, kind => name.Contains(kind, StringComparison.Ordinal));

    private static float Copy(TensorFile source, TensorDeclaration target, TensorRounder rounder, TensorRounder.Sink sink)
    {
        source.TryDescribe(target.Name, out TensorType from, out int[] shape);
        using Stream elements = source.OpenTensor(target.Name); // first, because it checks the size
        return rounder.Convert(elements, from, from.ByteCount(shape) / from.ByteSize(), target.Type, $"{source.Path}: tensor '{target.Name}'", sink);
    }

    private static GlipConfig FindConfig(ConversionRequest request, TensorFile source)
    {
        if (request.Config is not null)
            return request.Config;
        if (request.ConfigPath is not null)
            return ConfigInference.Complete(File.ReadAllBytes(request.ConfigPath), request.ConfigPath, source);
        return source.Metadata.TryGetValue(ModelFile.ConfigKey, out string? own)
            ? GlipConfig.Parse(Encoding.UTF8.GetBytes(own), $"{source.Path}: {ModelFile.ConfigKey}")
            : ConfigInference.Infer(source);
    }

    private static byte[] FindVocabulary(ConversionRequest request, TensorFile source, GlipConfig config)
    {
        if (request.VocabularyPath is not null)
            return ReadVocabulary(File.ReadAllBytes(request.VocabularyPath), request.VocabularyPath, config);
        return source.TryDescribe(ModelFile.VocabularyTensor, out _, out _)
            ? ReadVocabulary(source.Read(ModelFile.VocabularyTensor), $"{source.Path}: {ModelFile.VocabularyTensor}", config)
            : throw new GlipFormatException($"{source.Path}: has no vocabulary of its own, name the one that it was trained with: --vocab vocab.txt");
    }

    /// <summary>Every parameter must be there, of the right shape and a floating type, before anything is written.</summary>
    private static List<ModelParameter> FindParameters(TensorFile source, GlipConfig config, bool withoutEncoder)
    {
        var parameters = new List<ModelParameter>();
        foreach (ModelParameter parameter in ParameterList.Of(config))
        {
            if (withoutEncoder && parameter.Name.StartsWith(ModelFile.TextEncoderPrefix, StringComparison.Ordinal))
                continue;
            if (!source.TryDescribe(parameter.Name, out TensorType type, out int[] found))
                throw Bad(parameter, $"is missing, expected {DisplayText.Shape(parameter.Shape)}; is this the right configuration?");
            if (!found.AsSpan().SequenceEqual(parameter.Shape))
            {
                string shapes = $"expected {DisplayText.Shape(parameter.Shape)}, found {DisplayText.Shape(found)}";
                throw Bad(parameter, $"{shapes}; is this the right configuration?");
            }

            if (!type.IsFloating())
                throw Bad(parameter, $"expected F32, F16, BF16 or F64, found {type.SafetensorsName()}");
            parameters.Add(parameter);
        }

        return parameters;

        GlipFormatException Bad(ModelParameter parameter, string what) => new($"{source.Path}: tensor '{parameter.Name}' {what}");
    }

    /// <summary>The prompts of a model file without text encoder; null for all other sources.</summary>
    private static IReadOnlyList<PromptRows>? ReadStoredPrompts(TensorFile source)
    {
        if (!source.Metadata.ContainsKey(ModelFile.PromptsKey))
            return null;
        using ModelFile model = ModelFile.Open(source.Path);
        return model.StoredPrompts;
    }

    /// <summary>The rows that belong to a text's tokens.</summary>
    private static PromptRows ReadTunedPrompt(TensorFile source, GlipConfig config, byte[] vocabulary, string text)
    {
        int width = config.Bert.HiddenSize;
        if (!source.TryDescribe(TunedRows, out TensorType type, out int[] shape))
            throw new GlipFormatException($"{source.Path}: tensor '{TunedRows}' is missing: the checkpoint has no tuned prompt");
        Prompt prompt;
        try
        {
            prompt = Prompt.Parse(text);
        }
        catch (ArgumentException e)
        {
            throw new UsageException($"--prompt: {e.Message}");
        }

        var encoded = EncodedPrompt.Encode(prompt, new WordPieceTokenizer(Vocabulary.Parse(vocabulary, source.Path)), config.MaxQueryLength);
        if (encoded.TruncatedLabels.Count > 0)
            throw new GlipFormatException($"the prompt of the tuned rows has {encoded.UntruncatedCount} tokens, the model reads {config.MaxQueryLength}");
        if (!type.IsFloating() || shape.Length != 2 || shape[1] != width || shape[0] < encoded.Ids.Length)
        {
            throw new GlipFormatException(
                $"{source.Path}: tensor '{TunedRows}': expected at least [{encoded.Ids.Length},{width}] numbers, found {type.SafetensorsName()} {DisplayText.Shape(shape)}");
        }

        var rows = new List<byte>();
        using Stream elements = source.OpenTensor(TunedRows);
        new TensorRounder().Convert(elements, type, encoded.Ids.Length * width, TensorType.F32, $"{source.Path}: tensor '{TunedRows}'", part => rows.AddRange(part));
        return PromptRows.Of(encoded, width, MemoryMarshal.Cast<byte, float>(CollectionsMarshal.AsSpan(rows)).ToArray());
    }

    /// <summary>A vocabulary in the form that model files have: UTF-8 without a byte order mark, lines ending with a line feed.</summary>
    private static byte[] ReadVocabulary(byte[] bytes, string origin, GlipConfig config)
    {
        if (!Utf8.IsValid(bytes))
            throw new GlipFormatException($"{origin}: expected UTF-8 text, one token a line");
        bytes = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(bytes).TrimStart('\uFEFF').Replace("\r\n", "\n", StringComparison.Ordinal));
        int tokens = Vocabulary.Parse(bytes, origin).Count;
        if (tokens > config.Bert.VocabularySize)
        {
            throw new GlipFormatException(
                $"{origin}: expected at most {config.Bert.VocabularySize} tokens (bert.vocab_size), found {tokens}; is this the checkpoint's vocabulary?");
        }

        return bytes;
    }
}
