using System.Text;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Tests.Weights;

public class ModelFileTests
{
    [Fact]
    public void A_model_file_has_configuration_vocabulary_and_weights()
    {
        using var folder = new TempFolder();
        string path = folder.Write("tiny.safetensors", ModelBytes());
        using ModelFile model = ModelFile.Open(path);

        Assert.Equal(path, model.Name);
        Assert.Equal(Config.ToJson(), model.Config.ToJson());
        Assert.Equal(Vocabulary, Encoding.UTF8.GetString(model.Vocabulary.Span));
        Assert.Equal(Tensors().Select(t => t.Name), model.TensorNames);
        foreach (Tensor expected in Tensors())
        {
            Assert.True(model.TryGetTensor(expected.Name, out WeightTensor tensor));
            Assert.Equal(expected.Shape, tensor.Shape.ToArray());
            Assert.Equal(expected.Bytes, tensor.Bytes.ToArray());
        }
    }

    [Fact]
    public void The_vocabulary_is_no_weight()
    {
        using ModelFile model = ModelFile.FromMemory(ModelBytes(), "tiny");
        Assert.DoesNotContain(ModelFile.VocabularyTensor, model.TensorNames);
        Assert.False(model.TryGetTensor(ModelFile.VocabularyTensor, out _));
    }

    [Fact]
    public void The_vocabulary_outlives_the_file()
    {
        using var folder = new TempFolder();
        ModelFile model = ModelFile.Open(folder.Write("tiny", ModelBytes()));
        ReadOnlyMemory<byte> vocabulary = model.Vocabulary;
        model.Dispose();
        Assert.Equal(VocabularyBytes, vocabulary.ToArray());
    }

    [Fact]
    public void Tensors_beyond_the_configuration_are_kept_but_not_demanded()
    {
        using ModelFile model = Open([.. Tensors(), new("extra", TensorType.I64, [1], new byte[8]), VocabularyTensor()], Metadata());
        Assert.True(model.TryGetTensor("extra", out _));
    }

    [Theory]
    [InlineData(ModelFile.FormatKey)]
    [InlineData(ModelFile.ConfigKey)]
    public void Other_safetensors_files_are_told_apart(string key)
    {
        Dictionary<string, string> metadata = Metadata();
        metadata.Remove(key);
        string message = $"x: not a GLIP model file: the safetensors metadata lacks {key}; make one from the checkpoint with glip-weights convert";
        Refusal.Expect<GlipFormatException>(message, () => Open([.. Tensors(), VocabularyTensor()], metadata));
    }

    [Theory]
    [InlineData(ModelFile.FormatKey, "2", "x: glip.format must be 1, found '2'")]
    [InlineData(ModelFile.ConfigKey, "{", "x: glip.config: not a GLIP configuration")]
    [InlineData(ModelFile.ConfigKey, "null", "x: glip.config: expected a JSON object, found null")]
    public void Metadata_are_checked(string key, string value, string message)
    {
        Dictionary<string, string> metadata = Metadata();
        metadata[key] = value;
        Refusal.Expect<GlipFormatException>(message, () => Open([.. Tensors(), VocabularyTensor()], metadata));
    }

    [Fact]
    public void A_missing_parameter_is_named()
    {
        List<Tensor> tensors = [.. Tensors().Where(t => t.Name != "rpn.head.bias_lang"), VocabularyTensor()];
        Refusal.Expect<GlipFormatException>("x: tensor 'rpn.head.bias_lang' is missing, expected [4]", () => Open(tensors, Metadata()));
    }

    [Fact]
    public void A_parameter_of_another_shape_is_named()
    {
        List<Tensor> tensors = [.. Tensors().Select(t => t.Name == "backbone.fpn.fpn_inner3.weight" ? t with { Shape = [1, 32, 1, 1] } : t), VocabularyTensor()];
        Refusal.Expect<GlipFormatException>(
            "x: tensor 'backbone.fpn.fpn_inner3.weight': expected [4,8,1,1], found [1,32,1,1]", () => Open(tensors, Metadata()));
    }

    [Fact]
    public void A_parameter_of_whole_numbers_is_named()
    {
        List<Tensor> tensors = [.. Tensors().Select(t => t.Name == "rpn.head.bias0" ? t with { Type = TensorType.I32 } : t), VocabularyTensor()];
        Refusal.Expect<GlipFormatException>(
            "x: tensor 'rpn.head.bias0': expected F32, F16, BF16 or F64, found I32", () => Open(tensors, Metadata()));
    }

    [Fact]
    public void The_vocabulary_is_checked()
    {
        Refusal.Expect<GlipFormatException>("the tensor 'glip.vocabulary' is missing", () => Open(Tensors(), Metadata()));
        Refusal.Expect<GlipFormatException>(
            "tensor 'glip.vocabulary': expected U8 with one dimension, found F32 [1]",
            () => Open([.. Tensors(), new(ModelFile.VocabularyTensor, TensorType.F32, [1], new byte[4])], Metadata()));
        Refusal.Expect<GlipFormatException>(
            "tensor 'glip.vocabulary': expected at most 5 tokens (bert.vocab_size), found 6",
            () => Open([.. Tensors(), new(ModelFile.VocabularyTensor, TensorType.U8, [11], "1\n2\n3\n4\n5\n6"u8.ToArray())], Metadata()));
    }

    [Fact]
    public void A_checkpoint_must_be_converted_first()
    {
        string path = TestData.Path("micro_b", "micro_b.pth");
        Refusal.Expect<GlipFormatException>(
            "probably a PyTorch checkpoint, not a safetensors file; convert it first: glip-weights convert",
            () => ModelFile.Open(path));
    }

    [Fact]
    public void A_missing_file_is_an_IO_error() => Assert.Throws<FileNotFoundException>(() => ModelFile.Open("no such file"));

    [Fact]
    public void Configurations_of_endless_models_are_refused_at_once()
    {
        Dictionary<string, string> metadata = Metadata();
        metadata[ModelFile.ConfigKey] = metadata[ModelFile.ConfigKey].Replace("\"num_convs\":2", "\"num_convs\":2147483647", StringComparison.Ordinal);
        Refusal.Expect<GlipFormatException>(
            "tensor 'rpn.head.dyhead_tower.6.b_attn.gamma_v' is missing", () => Open([.. Tensors(), VocabularyTensor()], metadata));
    }

    [Fact]
    public void Damaged_model_files_throw_nothing_but_GlipFormatException()
    {
        byte[] whole = ModelBytes();
        int header = BitConverter.ToInt32(whole);
        int refused = 0;
        for (int seed = 0; seed < 1000; seed++)
        {
            // Half of the damage goes to the configuration, which stands at the header's start.
            byte[] damaged = Mutation.Of(whole, seed, seed % 2 == 0 ? ..(8 + header) : 8..700);
            try
            {
                using ModelFile model = ModelFile.FromMemory(damaged, "x");
                foreach (ModelParameter parameter in ParameterList.Of(model.Config))
                {
                    model.TryGetTensor(parameter.Name, out WeightTensor tensor);
                    _ = TensorConversion.ReadSingles(tensor);
                }
            }
            catch (GlipFormatException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 500, 999);
    }

    private static ModelFile Open(IReadOnlyList<Tensor> tensors, Dictionary<string, string> metadata) =>
        ModelFile.FromMemory(ModelBytes(tensors, metadata), "x");
}
