using System.Text;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.Tests.Weights.Torch;

namespace Glip.Tests.Weights;

/// <summary>The smallest model with all of GLIP's parts, as a model file and as a checkpoint, to be spoilt by tests.</summary>
internal static class TinyModel
{
    public const string Vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nä\n";

    /// <summary>A stored tensor.</summary>
    public sealed record Tensor(string Name, TensorType Type, int[] Shape, byte[] Bytes);

    public static GlipConfig Config { get; } = new()
    {
        Name = "tiny",
        Swin = new() { EmbedDim = 2, Depths = [1, 1, 2, 1], Heads = [1, 1, 2, 2], WindowSize = 2 },
        Channels = 4,
        GroupNormGroups = 2,
        NumConvs = 2,
        Bert = new() { HiddenSize = 4, Layers = 1, Heads = 2, IntermediateSize = 6, VocabularySize = 5, MaxPositions = 8 },
        Fusion = new() { Heads = 2, EmbedDim = 4 },
        EarlyFuse = true,
        UseFusedFeaturesDotProduct = true,
        MaxQueryLength = 8,
    };

    public static byte[] VocabularyBytes => Encoding.UTF8.GetBytes(Vocabulary);

    /// <summary>All weights in single precision, by formula.</summary>
    public static List<Tensor> Tensors()
    {
        using var weights = new ProceduralWeights(Config, 3, default);
        var tensors = new List<Tensor>();
        foreach (string name in weights.TensorNames)
        {
            weights.TryGetTensor(name, out WeightTensor tensor);
            tensors.Add(new(name, tensor.Type, tensor.Shape.ToArray(), tensor.Bytes.ToArray()));
        }

        return tensors;
    }

    /// <summary>What a model file holds beside the weights.</summary>
    public static Dictionary<string, string> Metadata() => new()
    {
        [ModelFile.FormatKey] = "1",
        [ModelFile.ConfigKey] = Encoding.UTF8.GetString(Config.ToJson()),
    };

    public static Tensor VocabularyTensor() => new(ModelFile.VocabularyTensor, TensorType.U8, [VocabularyBytes.Length], VocabularyBytes);

    /// <summary>A safetensors file of the given tensors.</summary>
    public static byte[] ModelBytes(IReadOnlyList<Tensor> tensors, Dictionary<string, string> metadata)
    {
        using var folder = new TempFolder();
        using (var writer = new SafetensorsWriter(folder.File("m"), [.. tensors.Select(t => new TensorDeclaration(t.Name, t.Type, t.Shape))], metadata))
        {
            foreach (Tensor tensor in tensors)
                writer.Write(tensor.Name, tensor.Bytes);
            writer.Commit();
        }

        return File.ReadAllBytes(folder.File("m"));
    }

    /// <summary>The model file, unspoilt.</summary>
    public static byte[] ModelBytes() => ModelBytes([.. Tensors(), VocabularyTensor()], Metadata());

    /// <summary>A PyTorch checkpoint of the given tensors, as the original's trainer writes it.</summary>
    public static byte[] Checkpoint(IReadOnlyList<Tensor> tensors)
    {
        var pickle = new PickleBuilder().Op("}(").Text("optimizer").Op("}").Text("model").Op("}(");
        for (int i = 0; i < tensors.Count; i++)
        {
            Tensor tensor = tensors[i];
            string storage = tensor.Type switch
            {
                TensorType.F32 => "FloatStorage",
                TensorType.F16 => "HalfStorage",
                TensorType.BF16 => "BFloat16Storage",
                TensorType.F64 => "DoubleStorage",
                _ => "LongStorage",
            };
            long[] shape = [.. tensor.Shape.Select(d => (long)d)];
            var strides = new long[shape.Length];
            long stride = 1;
            for (int d = shape.Length - 1; d >= 0; d--)
            {
                strides[d] = stride;
                stride *= shape[d];
            }

            pickle.Text("module." + tensor.Name).Tensor(storage, $"{i}", stride, 0, shape, strides);
        }

        return CheckpointBuilder.Zip(
            "tiny", [("data.pkl", pickle.Op("uu").End()), ("version", "3\n"u8.ToArray()), .. tensors.Select((t, i) => ($"data/{i}", t.Bytes))]);
    }
}
