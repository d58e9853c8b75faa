using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Text;
using Glip.Managed.Weights;
using Glip.WeightsTools.Torch;

namespace Glip.WeightsTools;

/// <summary>What a conversion did.</summary>
/// <param name="Tensors">Weights written.</param>
/// <param name="Unneeded">Entries left out because inference computes or never uses them, counted by kind.</param>
/// <param name="Unknown">Entries left out that no GLIP model of this configuration has.</param>
/// <param name="SkippedSections">Parts of the checkpoint beside the model: optimiser, scheduler.</param>
/// <param name="LargestChange">Largest change of a value by rounding to half precision, in parts of its tensor's largest value; 0 for f32.</param>
/// <param name="MostChangedTensor">Where that was; null for f32.</param>
/// <param name="SpareEmbeddings">Word embeddings beyond the vocabulary's last token: some models round their number up.</param>
internal sealed record ConversionReport(
    int Tensors,
    IReadOnlyList<(string Kind, int Count)> Unneeded,
    IReadOnlyList<string> Unknown,
    IReadOnlyList<string> SkippedSections,
    float LargestChange,
    string? MostChangedTensor,
    int SpareEmbeddings);

/// <summary>Makes a GLIP model file from a checkpoint, a configuration and a vocabulary, one tensor in memory at a time.</summary>
internal static class CheckpointConverter
{
    /// <summary>Parts of names that checkpoints have beside the parameters: buffers, and layers whose output inference drops.</summary>
    private static readonly string[] UnneededKinds =
    [
        "attn.relative_position_index", "embeddings.position_ids", "rpn.anchor_generator", "rpn.head.cls_logits",
        "language_backbone.body.model.pooler", "rpn.resizer",
    ];

    /// <summary>Converts.</summary>
    /// <param name="source">Path of a PyTorch checkpoint.</param>
    /// <param name="config">The model's sizes.</param>
    /// <param name="vocabularyPath">Path of a vocabulary, no longer than the model's word embeddings.</param>
    /// <param name="target">Path of the model file; written beside and then moved, nothing is left after a failure.</param>
    /// <param name="type"><see cref="TensorType.F32"/> or <see cref="TensorType.F16"/>.</param>
    /// <param name="cancellation">Stops between two tensors.</param>
    /// <exception cref="GlipFormatException">A file is not what it should be, or does not fit the configuration.</exception>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public static ConversionReport Convert(
        string source, GlipConfig config, string vocabularyPath, string target, TensorType type, CancellationToken cancellation = default)
    {
        byte[] vocabulary = ReadVocabulary(vocabularyPath, config);
        using TorchCheckpoint checkpoint = TorchCheckpoint.Open(source);
        List<ModelParameter> parameters = FindParameters(checkpoint, config);

        List<TensorDeclaration> declarations = [.. parameters.Select(p => new TensorDeclaration(p.Name, type, p.Shape))];
        declarations.Add(new(ModelFile.VocabularyTensor, TensorType.U8, [vocabulary.Length])); // last, so that the weights stay aligned
        KeyValuePair<string, string>[] metadata =
        [
            new(ModelFile.FormatKey, ModelFile.FormatVersion),
            new(ModelFile.ConfigKey, Encoding.UTF8.GetString(config.ToJson())),
        ];

        (float Change, string? Tensor) worst = (0, null);
        using var writer = new SafetensorsWriter(target, declarations, metadata);
        foreach (ModelParameter parameter in parameters)
        {
            cancellation.ThrowIfCancellationRequested();
            checkpoint.TryGetTensor(parameter.Name, out TorchTensor? stored);
            byte[] bytes = checkpoint.Read(parameter.Name);
            float[] values = TensorConversion.ReadSingles(new WeightTensor(parameter.Name, stored!.Storage.Type, parameter.Shape, bytes));
            if (type == TensorType.F32)
            {
                writer.Write(parameter.Name, MemoryMarshal.AsBytes(values.AsSpan()));
                continue;
            }

            Half[] halves = ToHalves(values, $"{source}: tensor '{parameter.Name}'", out float change);
            writer.Write(parameter.Name, MemoryMarshal.AsBytes(halves.AsSpan()));
            if (change > worst.Change)
                worst = (change, parameter.Name);
        }

        writer.Write(ModelFile.VocabularyTensor, vocabulary);
        writer.Commit();

        ILookup<string?, string> unused = checkpoint.Names.Except(parameters.Select(p => p.Name)).ToLookup(UnneededKind);
        return new ConversionReport(
            parameters.Count,
            [.. UnneededKinds.Where(unused.Contains).Select(kind => (kind, unused[kind].Count()))],
            [.. unused[null]],
            [.. checkpoint.Sections.Where(s => s != TorchCheckpoint.ModelKey)],
            worst.Change,
            worst.Tensor,
            config.Bert.VocabularySize - VocabularyText.CountTokens(vocabulary));
    }

    private static string? UnneededKind(string name) => Array.Find(UnneededKinds, kind => name.Contains(kind, StringComparison.Ordinal));

    /// <summary>Every parameter must be there, of the right shape and a floating type, before anything is written.</summary>
    private static List<ModelParameter> FindParameters(TorchCheckpoint checkpoint, GlipConfig config)
    {
        var parameters = new List<ModelParameter>();
        foreach (ModelParameter parameter in ParameterList.Of(config))
        {
            if (!checkpoint.TryGetTensor(parameter.Name, out TorchTensor? tensor))
                throw Bad(parameter, $"is missing, expected {DisplayText.Shape(parameter.Shape)}; is this the right configuration?");
            if (!tensor.Shape.AsSpan().SequenceEqual(parameter.Shape))
            {
                string shapes = $"expected {DisplayText.Shape(parameter.Shape)}, found {DisplayText.Shape(tensor.Shape)}";
                throw Bad(parameter, $"{shapes}; is this the right configuration?");
            }

            if (!tensor.Storage.Type.IsFloating())
                throw Bad(parameter, $"expected F32, F16, BF16 or F64, found {tensor.Storage.Type.SafetensorsName()}");
            parameters.Add(parameter);
        }

        return parameters;

        GlipFormatException Bad(ModelParameter parameter, string what) => new($"{checkpoint.Path}: tensor '{parameter.Name}' {what}");
    }

    /// <summary>Reads the vocabulary in the form that model files have: UTF-8 without a byte order mark, lines ending with a line feed.</summary>
    private static byte[] ReadVocabulary(string path, GlipConfig config)
    {
        byte[] bytes = File.ReadAllBytes(path);
        if (!Utf8.IsValid(bytes))
            throw new GlipFormatException($"{path}: expected UTF-8 text, one token a line");
        bytes = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(bytes).TrimStart('\uFEFF').Replace("\r\n", "\n", StringComparison.Ordinal));
        int tokens = Vocabulary.Parse(bytes, path).Count;
        if (tokens > config.Bert.VocabularySize)
        {
            throw new GlipFormatException(
                $"{path}: expected at most {config.Bert.VocabularySize} tokens (bert.vocab_size), found {tokens}; is this the checkpoint's vocabulary?");
        }

        return bytes;
    }

    private static Half[] ToHalves(float[] values, string origin, out float largestChange)
    {
        var halves = new Half[values.Length];
        TensorPrimitives.ConvertToHalf(values, halves);
        var back = new float[values.Length];
        TensorPrimitives.ConvertToSingle(halves, back);
        float largest = 0;
        float change = 0;
        for (int i = 0; i < values.Length; i++)
        {
            if (float.IsInfinity(back[i]) && float.IsFinite(values[i]))
                throw new GlipFormatException($"{origin}: the value {values[i]} is beyond half precision (65504); use --dtype f32");
            largest = Math.Max(largest, Math.Abs(values[i]));
            change = Math.Max(change, Math.Abs(values[i] - back[i]));
        }

        largestChange = largest > 0 ? change / largest : 0;
        return halves;
    }
}
