using System.Text;
using Glip.Managed.Model;

namespace Glip.Managed.Weights;

/// <summary>
/// A GLIP model file: a safetensors file that also holds the configuration and the vocabulary. Opening maps the file and
/// checks that it is whole and has every parameter of its configuration; the weights themselves are read when asked for.
/// </summary>
public sealed class ModelFile : WeightSource
{
    /// <summary>Metadata key of the format's version.</summary>
    internal const string FormatKey = "glip.format";

    /// <summary>The one version there is.</summary>
    internal const string FormatVersion = "1";

    /// <summary>Metadata key of the configuration's JSON.</summary>
    internal const string ConfigKey = "glip.config";

    /// <summary>The tensor that holds the vocabulary's bytes.</summary>
    internal const string VocabularyTensor = "glip.vocabulary";

    /// <summary>Metadata key of the prompts that a model without text encoder serves.</summary>
    internal const string PromptsKey = "glip.prompts";

    /// <summary>The tensor of their rows.</summary>
    internal const string PromptsTensor = "glip.prompts.rows";

    /// <summary>What the names of the text encoder's parameters begin with.</summary>
    internal const string TextEncoderPrefix = "language_backbone.";

    private const string OwnPrefix = "glip.";

    private readonly SafetensorsFile _file;
    private readonly byte[] _vocabulary;

    private ModelFile(SafetensorsFile file)
    {
        _file = file;
        Config = ReadConfig(file);
        _vocabulary = ReadVocabulary(file, Config);
        if (file.Metadata.TryGetValue(PackedForm.Key, out string? packed))
            Packed = new PackedWeights(file, PackedForm.Parse(packed, file.Name));
        TensorNames = [.. file.Entries.Select(e => e.Name).Where(name => !IsOwnTensor(name))];
        if (file.Metadata.ContainsKey(PromptsKey))
            StoredPrompts = ReadPrompts(file, Config);
        CheckParameters();
    }

    /// <inheritdoc/>
    public override string Name => _file.Name;

    /// <inheritdoc/>
    public override GlipConfig Config { get; }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> Vocabulary => _vocabulary;

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> TensorNames { get; }

    /// <inheritdoc/>
    internal override IReadOnlyList<PromptRows>? StoredPrompts { get; }

    /// <inheritdoc/>
    internal override PackedWeights? Packed { get; }

    /// <summary>Opens the model file at <paramref name="path"/>.</summary>
    /// <exception cref="GlipFormatException">It is not a whole GLIP model file; the message says what was found instead.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static ModelFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafetensorsFile file = SafetensorsFile.Open(path);
        try
        {
            return new ModelFile(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Uses a model file that is in memory, for hosts without files.</summary>
    /// <param name="bytes">The whole file; not copied, must not change while this object is in use.</param>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="GlipFormatException">It is not a whole GLIP model file.</exception>
    public static ModelFile FromMemory(ReadOnlyMemory<byte> bytes, string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return new ModelFile(SafetensorsFile.FromMemory(bytes, name));
    }

    /// <summary>Whether a tensor is the format's and no weight: the vocabulary, and what later versions of the format add.</summary>
    internal static bool IsOwnTensor(string name) => name.StartsWith(OwnPrefix, StringComparison.Ordinal);

    /// <inheritdoc/>
    public override bool TryGetTensor(string name, out WeightTensor tensor)
    {
        if (!IsOwnTensor(name))
            return _file.TryGetTensor(name, out tensor);
        tensor = default;
        return false;
    }

    /// <inheritdoc/>
    internal override bool TryLend(string name, out TensorLease lease)
    {
        if (!IsOwnTensor(name))
            return _file.TryLend(name, out lease);
        lease = default;
        return false;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _file.Dispose();
    }

    private static GlipConfig ReadConfig(SafetensorsFile file)
    {
        if (!file.Metadata.TryGetValue(FormatKey, out string? version) || !file.Metadata.TryGetValue(ConfigKey, out string? config))
        {
            throw new GlipFormatException(
                $"{file.Name}: not a GLIP model file: the safetensors metadata lacks {(version is null ? FormatKey : ConfigKey)}; " +
                "make one from the checkpoint with glip-weights convert");
        }

        if (version != FormatVersion)
            throw new GlipFormatException($"{file.Name}: {FormatKey} must be {FormatVersion}, found {DisplayText.Quote(version)}");
        return GlipConfig.Parse(Encoding.UTF8.GetBytes(config), $"{file.Name}: {ConfigKey}");
    }

    private static byte[] ReadVocabulary(SafetensorsFile file, GlipConfig config)
    {
        if (!file.TryGetTensor(VocabularyTensor, out WeightTensor tensor))
            throw new GlipFormatException($"{file.Name}: not a GLIP model file: the tensor '{VocabularyTensor}' is missing");
        if (tensor.Type != TensorType.U8 || tensor.Shape.Length != 1)
        {
            throw new GlipFormatException(
                $"{file.Name}: tensor '{VocabularyTensor}': expected U8 with one dimension, found {tensor.Type.SafetensorsName()} {DisplayText.Shape(tensor.Shape)}");
        }

        int tokens = VocabularyText.CountTokens(tensor.Bytes);
        if (tokens > config.Bert.VocabularySize)
            throw new GlipFormatException($"{file.Name}: tensor '{VocabularyTensor}': expected at most {config.Bert.VocabularySize} tokens (bert.vocab_size), found {tokens}");
        return tensor.Bytes.ToArray();
    }

    private static IReadOnlyList<PromptRows> ReadPrompts(SafetensorsFile file, GlipConfig config)
    {
        IReadOnlyList<PromptRows> prompts = PromptRows.Read(file, PromptsKey, PromptsTensor);
        if (prompts.Count == 0)
            throw new GlipFormatException($"{file.Name}: {PromptsKey}: expected at least one prompt");
        if (prompts[0].Width != config.Bert.HiddenSize)
            throw new GlipFormatException($"{file.Name}: tensor '{PromptsTensor}': expected rows of {config.Bert.HiddenSize} (bert.hidden_size), found {prompts[0].Width}");
        return prompts;
    }

    private void CheckParameters()
    {
        long elements = 0;
        foreach (ModelParameter parameter in ParameterList.Of(Config))
        {
            if (StoredPrompts is not null && parameter.Name.StartsWith(TextEncoderPrefix, StringComparison.Ordinal))
                continue;
            if (!_file.TryGetTensor(parameter.Name, out WeightTensor tensor))
            {
                // A packed file has its blocks instead; whoever builds the network finds out what is missing, if there can be so many.
                elements += parameter.Shape.Aggregate(1L, (product, dimension) => product * dimension);
                if (Packed is not null && elements <= _file.Length)
                    continue;
                if (Packed is not null)
                    throw new GlipFormatException($"{Name}: the configuration has more parameters than the {_file.Length} bytes of this packed file hold");
                throw new GlipFormatException($"{Name}: tensor '{parameter.Name}' is missing, expected {DisplayText.Shape(parameter.Shape)}");
            }

            if (!tensor.Shape.SequenceEqual(parameter.Shape))
            {
                throw new GlipFormatException(
                    $"{Name}: tensor '{parameter.Name}': expected {DisplayText.Shape(parameter.Shape)}, found {DisplayText.Shape(tensor.Shape)}");
            }

            if (!tensor.Type.IsFloating())
                throw new GlipFormatException($"{Name}: tensor '{parameter.Name}': expected F32, F16, BF16 or F64, found {tensor.Type.SafetensorsName()}");
        }
    }
}
