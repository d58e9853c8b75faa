using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Tests.Weights;

public sealed class CheckpointConverterTests : IDisposable
{
    private const string Rounded = "rpn.head.dot_product_projection_text.weight";
    private readonly TempFolder _folder = new();

    private string Target => _folder.File("out.safetensors");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_checkpoint_of_the_original_converts_bit_for_bit()
    {
        const string model = "micro_b";
        byte[] json = File.ReadAllBytes(TestData.Path(model, "config.json"));
        using JsonDocument document = JsonDocument.Parse(json);
        string vocabulary = TestData.Path("vocab_micro_3000.txt");
        ConversionReport report = CheckpointConverter.Convert(new()
        {
            Source = TestData.Path(model, model + ".pth"),
            Config = GlipConfig.Parse(json, model),
            VocabularyPath = vocabulary,
            Target = Target,
        });

        using ModelFile converted = ModelFile.Open(Target);
        using var expected = new ProceduralWeights(converted.Config, document.RootElement.GetProperty("seed").GetInt64(), default);
        Assert.Equal(expected.TensorNames, converted.TensorNames);
        foreach (string name in expected.TensorNames)
        {
            Assert.True(expected.TryGetTensor(name, out WeightTensor formula));
            Assert.True(converted.TryGetTensor(name, out WeightTensor stored));
            Assert.Equal(TensorType.F32, stored.Type);
            Assert.True(formula.Bytes.SequenceEqual(stored.Bytes), name);
        }

        Assert.Equal(File.ReadAllBytes(vocabulary), converted.Vocabulary.ToArray());
        Assert.Equal(expected.TensorNames.Count, report.Tensors);
        Assert.Empty(report.Unknown);
        Assert.Equal(
            [("attn.relative_position_index", 8), ("embeddings.position_ids", 1), ("rpn.anchor_generator", 5), ("rpn.head.cls_logits", 2)],
            report.Unneeded);
    }

    [Theory]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    [InlineData(TensorType.F64)]
    public void All_floating_types_become_the_type_asked_for(object type)
    {
        // Values that each of the types holds exactly.
        List<Tensor> tensors = [.. Tensors().Select(t => t with { Type = (TensorType)type, Bytes = Bytes((TensorType)type, t.Bytes.Length / 4) })];
        foreach (TensorType target in (TensorType[])[TensorType.F32, TensorType.F16, TensorType.BF16])
        {
            ConversionReport report = Convert(Checkpoint(tensors), target);
            using ModelFile model = ModelFile.Open(Target);
            foreach (Tensor tensor in tensors)
            {
                Assert.True(model.TryGetTensor(tensor.Name, out WeightTensor stored));
                Assert.Equal(StoredPrecision.Of(tensor.Name, tensor.Shape, target), stored.Type);
                Assert.Equal(Enumerable.Range(0, tensor.Bytes.Length / ((TensorType)type).ByteSize()).Select(Value), TensorConversion.ReadSingles(stored));
            }

            Assert.Equal(0, report.LargestChange);
            Assert.Equal(["optimizer"], report.SkippedSections);
        }

        static float Value(int i) => i % 2 == 0 ? i % 100 : -0.5f;

        static byte[] Bytes(TensorType type, int count) =>
        [
            .. Enumerable.Range(0, count).Select(Value).SelectMany(v => type switch
            {
                TensorType.F16 => BitConverter.GetBytes((Half)v),
                TensorType.BF16 => BitConverter.GetBytes((ushort)(BitConverter.SingleToUInt32Bits(v) >> 16)),
                _ => BitConverter.GetBytes((double)v),
            }),
        ];
    }

    [Theory]
    [InlineData("backbone.body.layers.0.blocks.0.attn.qkv.weight", true)]
    [InlineData("backbone.fpn.fpn_layer2.weight", true)]
    [InlineData("language_backbone.body.model.embeddings.word_embeddings.weight", true)]
    [InlineData("rpn.head.bbox_pred.weight", true)]
    [InlineData("backbone.body.patch_embed.proj.weight", false)]
    [InlineData("backbone.body.layers.0.blocks.0.attn.relative_position_bias_table", false)]
    [InlineData("backbone.body.layers.0.blocks.0.attn.qkv.bias", false)]
    [InlineData("backbone.body.norm1.weight", false)]
    [InlineData("rpn.head.centerness.weight", false)]
    [InlineData("rpn.head.bias_lang", false)]
    [InlineData("rpn.head.log_scale", false)]
    public void Half_size_models_have_matrices_half_size_and_the_rest_unchanged(string name, bool half)
    {
        List<Tensor> tensors = Tensors();
        foreach (Tensor tensor in tensors)
            MemoryMarshal.Cast<byte, float>(tensor.Bytes.AsSpan()).Fill(1 / 3f);
        Convert(Checkpoint(tensors), TensorType.F16);
        using ModelFile model = ModelFile.Open(Target);
        Assert.True(model.TryGetTensor(name, out WeightTensor stored));
        Assert.Equal(half ? TensorType.F16 : TensorType.F32, stored.Type);
        Assert.All(TensorConversion.ReadSingles(stored), value => Assert.Equal(half ? (float)(Half)(1 / 3f) : 1 / 3f, value));
    }

    [Fact]
    public void Numbers_of_a_half_size_model_are_aligned()
    {
        Convert(Checkpoint(Tensors()), TensorType.F16);
        long dataStart = 8 + BitConverter.ToInt64(File.ReadAllBytes(Target));
        using SafetensorsFile file = SafetensorsFile.Open(Target);
        Assert.All(file.Entries, entry => Assert.Equal(0, (dataStart + entry.Offset) % entry.Type.ByteSize()));
    }

    [Fact]
    public void Rounding_to_half_precision_is_reported()
    {
        List<Tensor> tensors = Tensors();
        foreach (Tensor tensor in tensors)
            MemoryMarshal.Cast<byte, float>(tensor.Bytes.AsSpan()).Fill(1);
        MemoryMarshal.Cast<byte, float>(Find(tensors, Rounded).Bytes.AsSpan())[0] = 2 + 1 / 1024f; // half way between two halves

        ConversionReport report = Convert(Checkpoint(tensors), TensorType.F16);

        Assert.Equal(Rounded, report.MostChangedTensor);
        Assert.Equal(1 / 1024f / (2 + 1 / 1024f), report.LargestChange);
    }

    [Fact]
    public void Values_beyond_half_precision_are_refused()
    {
        List<Tensor> tensors = Tensors();
        MemoryMarshal.Cast<byte, float>(Find(tensors, Rounded).Bytes.AsSpan())[2] = -70000;
        Expect(
            $"tensor '{Rounded}': the value -70000 at element 2 is beyond half precision (65504); use --dtype f32",
            Checkpoint(tensors), TensorType.F16);
    }

    [Fact]
    public void A_safetensors_file_of_the_same_names_converts_as_a_checkpoint()
    {
        Convert(Checkpoint(Tensors()));
        byte[] expected = File.ReadAllBytes(Target);
        byte[] hub = ModelBytes([.. Tensors().Select(t => t with { Name = "module." + t.Name })], []);
        Assert.Equal("safetensors file", Convert(hub).SourceKind);
        Assert.Equal(expected, File.ReadAllBytes(Target));
    }

    [Fact]
    public void A_model_file_can_be_written_anew_with_its_own_configuration_and_vocabulary()
    {
        Convert(Checkpoint(Tensors()), TensorType.F16);
        byte[] expected = File.ReadAllBytes(Target);
        ConversionReport report = CheckpointConverter.Convert(new() { Source = _folder.Write("m", ModelBytes()), Target = Target, Type = TensorType.F16 });
        Assert.Equal("tiny", report.Config.Name);
        Assert.Empty(report.Unknown);
        Assert.Equal(expected, File.ReadAllBytes(Target));
    }

    [Fact]
    public void A_file_without_vocabulary_asks_for_one()
    {
        Refusal.Expect<GlipFormatException>(
            "has no vocabulary of its own, name the one that it was trained with: --vocab",
            () => Convert(Request(Checkpoint(Tensors())) with { VocabularyPath = null }));
    }

    [Fact]
    public void A_configuration_that_contradicts_a_shape_is_refused_with_the_tensor()
    {
        string path = _folder.Write("c.json", Config with { Channels = 8 } is var wider ? wider.ToJson() : []);
        Refusal.Expect<GlipFormatException>(
            "tensor 'backbone.fpn.fpn_inner2.weight' expected [8,4,1,1], found [4,4,1,1]; is this the right configuration?",
            () => Convert(Request(Checkpoint(Tensors())) with { Config = null, ConfigPath = path }));
    }

    [Fact]
    public void Weights_that_are_not_finite_are_refused()
    {
        List<Tensor> tensors = Tensors();
        MemoryMarshal.Cast<byte, float>(Find(tensors, Rounded).Bytes.AsSpan())[3] = float.NaN;
        Expect($"x.pth: tensor '{Rounded}': has NaN at element 3: weights must be finite", Checkpoint(tensors));
    }

    [Fact]
    public void A_missing_tensor_is_named()
    {
        List<Tensor> tensors = [.. Tensors().Where(t => t.Name != "rpn.head.scales.3.scale")];
        Expect("x.pth: tensor 'rpn.head.scales.3.scale' is missing, expected [1]", Checkpoint(tensors));
    }

    [Fact]
    public void A_tensor_of_another_shape_is_named()
    {
        List<Tensor> tensors = [.. Tensors().Select(t => t.Name == "rpn.head.bias_lang" ? t with { Shape = [2, 2] } : t)];
        Expect("x.pth: tensor 'rpn.head.bias_lang' expected [4], found [2,2]", Checkpoint(tensors));
    }

    [Fact]
    public void A_tensor_of_whole_numbers_is_named()
    {
        List<Tensor> tensors = [.. Tensors().Select(t => t.Name == "rpn.head.log_scale" ? t with { Type = TensorType.I64, Bytes = new byte[8] } : t)];
        Expect("x.pth: tensor 'rpn.head.log_scale' expected F32, F16, BF16 or F64, found I64", Checkpoint(tensors));
    }

    [Fact]
    public void Unknown_entries_are_left_out_and_listed()
    {
        ConversionReport report = Convert(Checkpoint([.. Tensors(), new("rpn.head.new_idea", TensorType.F32, [1], new byte[4])]));
        Assert.Equal(["rpn.head.new_idea"], report.Unknown);
        using ModelFile model = ModelFile.Open(Target);
        Assert.False(model.TryGetTensor("rpn.head.new_idea", out _));
    }

    [Fact]
    public void A_vocabulary_shorter_than_the_embeddings_is_told()
    {
        string path = _folder.Write("another.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n"u8.ToArray());
        ConversionReport report = Convert(Request(Checkpoint(Tensors())) with { VocabularyPath = path });
        Assert.Equal(1, report.SpareEmbeddings);
    }

    [Fact]
    public void A_vocabulary_longer_than_the_embeddings_is_refused()
    {
        string path = _folder.Write("another.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\ne\nf"u8.ToArray());
        Refusal.Expect<GlipFormatException>(
            "expected at most 5 tokens (bert.vocab_size), found 6",
            () => Convert(Request(Checkpoint(Tensors())) with { VocabularyPath = path }));
        Assert.False(File.Exists(Target));
    }

    [Fact]
    public void A_vocabulary_from_Windows_is_stored_as_any_other()
    {
        string path = _folder.Write("another.txt", [0xEF, 0xBB, 0xBF, .. Encoding.UTF8.GetBytes(Vocabulary.Replace("\n", "\r\n", StringComparison.Ordinal))]);
        Convert(Request(Checkpoint(Tensors())) with { VocabularyPath = path });
        using ModelFile model = ModelFile.Open(Target);
        Assert.Equal(VocabularyBytes, model.Vocabulary.ToArray());
    }

    [Fact]
    public void A_vocabulary_that_is_not_text_is_refused()
    {
        string path = _folder.Write("another.txt", [0xFF, 0xFE, (byte)'\n']);
        Refusal.Expect<GlipFormatException>(
            "expected UTF-8 text",
            () => Convert(Request(Checkpoint(Tensors())) with { VocabularyPath = path }));
    }

    [Fact]
    public void Interrupting_leaves_nothing()
    {
        using var interrupted = new CancellationTokenSource();
        interrupted.Cancel();
        Assert.Throws<OperationCanceledException>(() => CheckpointConverter.Convert(Request(Checkpoint(Tensors())), interrupted.Token));
        Assert.Equal(["vocab.txt", "x.pth"], _folder.Files.Order());
    }

    private static Tensor Find(List<Tensor> tensors, string name) => tensors.Single(t => t.Name == name);

    private static ConversionReport Convert(ConversionRequest request) => CheckpointConverter.Convert(request);

    private ConversionReport Convert(byte[] checkpoint, TensorType type = TensorType.F32) => Convert(Request(checkpoint, type));

    private ConversionRequest Request(byte[] checkpoint, TensorType type = TensorType.F32) => new()
    {
        Source = _folder.Write("x.pth", checkpoint),
        Config = Config,
        VocabularyPath = _folder.Write("vocab.txt", VocabularyBytes),
        Target = Target,
        Type = type,
    };

    /// <summary>The conversion must fail with this message and leave no file behind.</summary>
    private void Expect(string message, byte[] checkpoint, TensorType type = TensorType.F32)
    {
        Refusal.Expect<GlipFormatException>(message, () => Convert(checkpoint, type));
        Assert.Equal(["vocab.txt", "x.pth"], _folder.Files.Order());
    }
}
