using System.Globalization;
using Glip.Managed.Model;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Cli;

/// <summary>Which model to use: a file, a formula (<c>procedural:CONFIG:SEED</c>), or none named, which means the default model.</summary>
internal sealed record ModelReference
{
    private const string ProceduralPrefix = "procedural:";

    /// <summary>A model file; null for the other two kinds.</summary>
    public string? Path { get; private init; }

    /// <summary>Configuration of procedural weights; null for the other two kinds.</summary>
    public GlipConfig? Procedural { get; private init; }

    /// <summary>Seed of procedural weights.</summary>
    public long Seed { get; private init; }

    /// <summary>A vocabulary file to use; null for the model file's own.</summary>
    public string? VocabularyPath { get; private init; }

    /// <summary>Whether no model was named.</summary>
    public bool IsDefault => Path is null && Procedural is null;

    /// <summary>Reads the values of --model and --vocab.</summary>
    /// <exception cref="UsageException">Not a model, or a vocabulary that does not go with it.</exception>
    public static ModelReference Parse(string? model, string? vocabularyPath)
    {
        if (model is null)
        {
            return vocabularyPath is null
                ? new ModelReference()
                : throw new UsageException("--vocab needs --model: the default model has its own vocabulary");
        }

        if (!model.StartsWith(ProceduralPrefix, StringComparison.Ordinal))
            return new ModelReference { Path = model, VocabularyPath = vocabularyPath };

        string[] parts = model[ProceduralPrefix.Length..].Split(':');
        if (parts.Length != 2 || !GlipConfig.PublishedNames.Contains(parts[0]) || !long.TryParse(parts[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long seed))
        {
            throw new UsageException(
                $"model '{model}': expected procedural:CONFIG:SEED with one of {string.Join(", ", GlipConfig.PublishedNames)} and a whole number");
        }

        if (vocabularyPath is null)
            throw new UsageException($"model '{model}' has no vocabulary of its own: name a file with --vocab");
        return new ModelReference { Procedural = GlipConfig.Published(parts[0]), Seed = seed, VocabularyPath = vocabularyPath };
    }

    /// <summary>Refuses files that do not exist, before any work is done.</summary>
    /// <exception cref="UsageException">A name is empty.</exception>
    /// <exception cref="IOException">No such file.</exception>
    public void CheckFiles()
    {
        InputPath.Check(Path, "model");
        InputPath.Check(VocabularyPath, "vocabulary");
    }

    /// <summary>Opens the weights of a model that is not the default one.</summary>
    /// <exception cref="Glip.Managed.GlipFormatException">A file is not what it should be.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public WeightSource Open()
    {
        byte[]? vocabulary = ReadVocabulary();
        if (Procedural is not null)
            return new ProceduralWeights(Procedural, Seed, vocabulary);
        ModelFile file = ModelFile.Open(Path ?? throw new InvalidOperationException("the default model has no weights of its own to open"));
        return vocabulary is null ? file : new VocabularyReplacement(file, vocabulary);
    }

    private byte[]? ReadVocabulary()
    {
        if (VocabularyPath is null)
            return null;
        byte[] text = File.ReadAllBytes(VocabularyPath);

        // Parsed again with the model; this time is for messages that name the file.
        _ = Vocabulary.Parse(text, VocabularyPath);
        return text;
    }

    /// <summary>A model whose vocabulary comes from another file.</summary>
    private sealed class VocabularyReplacement(WeightSource model, ReadOnlyMemory<byte> vocabulary) : WeightSource
    {
        public override string Name => model.Name;

        public override GlipConfig Config => model.Config;

        public override ReadOnlyMemory<byte> Vocabulary => vocabulary;

        public override IReadOnlyCollection<string> TensorNames => model.TensorNames;

        internal override IReadOnlyList<PromptRows>? StoredPrompts => model.StoredPrompts;

        internal override PackedWeights? Packed => model.Packed;

        internal override bool TryLend(string name, out TensorLease lease) => model.TryLend(name, out lease);

        public override bool TryGetTensor(string name, out WeightTensor tensor) => model.TryGetTensor(name, out tensor);

        public override bool TryDescribe(string name, out TensorType type, out ReadOnlySpan<int> shape) => model.TryDescribe(name, out type, out shape);

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                model.Dispose();
        }
    }
}
