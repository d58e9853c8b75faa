using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.Tests.Detector;
using Glip.WeightsTools;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Tests.Weights;

/// <summary>A packed model file gives what the model file that it was packed from gives, to the bit, from the file's pages.</summary>
public sealed class PackedModelTests : IDisposable
{
    private static readonly SimdIsa[] s_fixedWidths = [SimdIsa.Avx512, SimdIsa.Avx2, SimdIsa.Neon, SimdIsa.V128, SimdIsa.Scalar];
    private readonly TempFolder _folder = new();
    private readonly StringWriter _output = new();
    private readonly StringWriter _error = new();

    public void Dispose()
    {
        _folder.Dispose();
        _output.Dispose();
        _error.Dispose();
    }

    [Theory]
    [InlineData(TensorType.F32)]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    public void Every_stage_has_the_bits_of_the_model_that_was_packed(TensorType type)
    {
        string model = WriteSmallModel(type);
        foreach (SimdIsa isa in s_fixedWidths.Where(SimdIsas.IsSupported))
        {
            string packed = _folder.File("packed.safetensors");
            PackReport report = ModelPacker.Pack(model, isa, packed);
            using GlipDetector detector = Load(packed, isa);
            Assert.Equal((report.Bytes, 0), (detector.Weights.Mapped, detector.Weights.Private));
            using GlipDetector original = Load(model, isa);
            Assert.Equal((0, report.Bytes, detector.Weights.Vectors), (original.Weights.Mapped, original.Weights.Private, original.Weights.Vectors));
            AssertSameStages(original, detector);

            using GlipDetector fromMemory = GlipDetector.Load(ModelFile.FromMemory(File.ReadAllBytes(packed), "packed"), Options(isa));
            AssertSameStages(original, fromMemory);
        }
    }

    [Theory]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    public void Half_size_weights_have_the_bits_of_widened_ones_in_half_the_memory(TensorType type)
    {
        string model = WriteSmallModel(type);
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            using GlipDetector half = Load(model, isa);
            using GlipDetector widened = GlipDetector.Load(model, Options(isa) with { WidenWeights = true });
            AssertSameStages(widened, half);
            Assert.InRange(half.Weights.Private, widened.Weights.Private * 0.5, widened.Weights.Private * 0.55); // what is computed from weights stays in single precision
        }
    }

    [Theory]
    [InlineData(SimdIsa.Avx512, SimdIsa.Avx2)]
    [InlineData(SimdIsa.Neon, SimdIsa.Scalar)]
    [InlineData(SimdIsa.Scalar, SimdIsa.V128)]
    public void Another_instruction_set_is_refused_by_name(SimdIsa packedFor, SimdIsa used)
    {
        if (!SimdIsas.IsSupported(used))
            return;
        string packed = _folder.File("packed.safetensors");
        ModelPacker.Pack(WriteTiny(TensorType.F32), packedFor, packed);
        string message = Assert.Throws<GlipFormatException>(() => Load(packed, used)).Message;
        Assert.Contains(
            $"{packed}: packed for {packedFor.Name()} (panels of {GemmTable.Layout(packedFor).Width} columns), this detector runs {used.Name()} " +
            $"(panels of {GemmTable.Layout(used).Width})", message, StringComparison.Ordinal);
        File.Delete(packed); // a refused file is closed
    }

    [Fact]
    public void A_mapped_file_outlives_a_call_that_its_detector_does_not()
    {
        string packed = _folder.File("packed.safetensors");
        ModelPacker.Pack(WriteSmallModel(TensorType.F32), SimdIsas.Best, packed);
        GlipDetector detector = GlipDetector.Load(packed, new GlipOptions { Threads = 1 });
        int stages = 0;
        detector.Trace(
            new NoisePicture(70, 40).View, SmallModel.Prompt,
            new StageAction(_ =>
            {
                if (stages++ == 0)
                    detector.Dispose();
                Assert.True(IsMapped());
            }),
            new DetectOptions { MinSize = 0 });
        Assert.InRange(stages, 50, 1000);
        Assert.True(!OperatingSystem.IsLinux() || !IsMapped());

        bool IsMapped() => !OperatingSystem.IsLinux() || File.ReadAllText("/proc/self/maps").Contains(packed, StringComparison.Ordinal);
    }

    [Fact]
    public void Blocks_begin_at_cache_lines_and_everything_else_comes_along()
    {
        string model = WriteTiny(TensorType.F16), packed = _folder.File("packed.safetensors");
        ModelPacker.Pack(model, SimdIsa.Neon, packed);
        byte[] bytes = File.ReadAllBytes(packed);
        long dataStart = 8 + BitConverter.ToInt64(bytes);
        using SafetensorsFile file = SafetensorsFile.Open(packed);
        SafetensorsEntry[] blocks = [.. file.Entries.Where(e => e.Name.Contains(PackedWeights.Suffix, StringComparison.Ordinal))];
        Assert.True(blocks.Length > 50);
        Assert.All(blocks, block => Assert.Equal((0, 0), ((dataStart + block.Offset) % 64, block.ByteCount % 64)));
        Assert.Contains(blocks, block => block.Type == TensorType.F16);

        using ModelFile original = ModelFile.Open(model), copy = ModelFile.Open(packed);
        Assert.Equal(original.Vocabulary.ToArray(), copy.Vocabulary.ToArray());
        Assert.Equal(original.Config.ToJson(), copy.Config.ToJson());
        foreach (string name in copy.TensorNames.Where(name => !name.Contains(PackedWeights.Suffix, StringComparison.Ordinal)))
        {
            Assert.True(copy.TryGetTensor(name, out WeightTensor found) & original.TryGetTensor(name, out WeightTensor expected));
            Assert.True(found.Bytes.SequenceEqual(expected.Bytes), name);
        }
    }

    [Fact]
    public void A_damaged_packed_file_is_refused_with_the_tensors_name()
    {
        string packed = _folder.File("packed.safetensors");
        ModelPacker.Pack(WriteTiny(TensorType.F16), SimdIsas.Best, packed);
        const string Block = "backbone.body.layers.0.blocks.0.attn.proj.packed";
        AssertRefused($"tensor '{Block}' is missing", tensors => tensors.RemoveAll(t => t.Name == Block));
        AssertRefused($"tensor '{Block}': expected F32, F16 or BF16, found U8", tensors => Change(tensors, t => t with { Type = TensorType.U8, Shape = [t.Bytes.Length] }));
        AssertRefused($"tensor '{Block}': expected ", tensors => Change(tensors, t => t with { Shape = [t.Shape[0] + 2], Bytes = [.. t.Bytes, 0, 0, 0, 0] }));

        // The largest: blocks are filled up to whole cache lines, and half a line of halves fills as many as a line of singles.
        AssertRefused(" bytes of F32, found ", tensors =>
        {
            Tensor largest = tensors.Where(t => t.Type == TensorType.F16).MaxBy(t => t.Bytes.Length)!;
            tensors[tensors.IndexOf(largest)] = largest with { Type = TensorType.F32, Shape = [largest.Bytes.Length / 4] };
        });
        AssertRefused("tensor backbone.body.norm1.weight is missing", tensors => tensors.RemoveAll(t => t.Name == "backbone.body.norm1.weight"));
        AssertRefused("glip.packed: expected a JSON object with isa, width, granule and source, found '{}'", _ => { }, "{}");
        AssertRefused("glip.packed: width must be a multiple of granule, found 3 and 2", _ => { }, """{"isa":"x","width":3,"granule":2,"source":""}""");

        AssertRefused("the configuration has more parameters than the ", _ => { }, layers: "2147000000");

        static void Change(List<Tensor> tensors, Func<Tensor, Tensor> change)
        {
            int at = tensors.FindIndex(t => t.Name == Block);
            tensors[at] = change(tensors[at]);
        }

        void AssertRefused(string message, Action<List<Tensor>> spoil, string? form = null, string layers = "2")
        {
            using SafetensorsFile file = SafetensorsFile.Open(packed);
            var tensors = new List<Tensor>();
            foreach (SafetensorsEntry entry in file.Entries)
            {
                file.TryGetTensor(entry.Name, out WeightTensor tensor);
                tensors.Add(new(entry.Name, entry.Type, entry.Shape, tensor.Bytes.ToArray()));
            }

            spoil(tensors);
            Dictionary<string, string> metadata = new(file.Metadata);
            metadata[PackedForm.Key] = form ?? metadata[PackedForm.Key];
            metadata[ModelFile.ConfigKey] = metadata[ModelFile.ConfigKey].Replace("\"num_convs\":2", $"\"num_convs\":{layers}", StringComparison.Ordinal);
            byte[] bytes = ModelBytes(tensors, metadata);
            Assert.Contains(message, Assert.Throws<GlipFormatException>(() => GlipDetector.Load(ModelFile.FromMemory(bytes, "x"))).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Packed_half_size_weights_cannot_be_widened()
    {
        string packed = _folder.File("packed.safetensors");
        ModelPacker.Pack(WriteTiny(TensorType.F16), SimdIsas.Best, packed);
        Assert.Contains(
            "is packed half-size and cannot be widened", Assert.Throws<GlipFormatException>(() => GlipDetector.Load(packed, new GlipOptions { WidenWeights = true })).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_command_packs_once_and_says_for_what()
    {
        string model = WriteTiny(TensorType.F32), packed = _folder.File("packed.safetensors");
        Assert.Equal(0, await Run("pack", model, "--isa", "avx2", "--out", packed));
        Assert.Contains("blocks for avx2, panels of 16 columns, ", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal(0, await Run("inspect", model));
        string hash = _output.ToString().TrimEnd()[^64..];
        Assert.Equal(0, await Run("inspect", packed, "--summary"));
        Assert.Contains($"packed for      avx2, panels of 16 columns, from tensors of sha-256 {hash}", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal("", _error.ToString());

        Assert.Equal(1, await Run("pack", packed, "--isa", "scalar", "--out", _folder.File("twice")));
        Assert.Equal(1, await Run("convert", packed, "--out", _folder.File("back")));
        string[] lines = _error.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.All(lines, line => Assert.Equal($"glip-weights: {packed}: is packed for avx2: start from the model file that it was packed from", line));
        Assert.Equal(2, await Run("pack", model, "--isa", "avx2", "--out", model));
        Assert.Equal(2, await Run("pack", model, "--isa", "vector", "--out", packed));
        Assert.Equal(2, await Run("pack", model, "--out", packed));
        Assert.Equal(["packed.safetensors", "tiny.safetensors"], _folder.Files.Order());
    }

    private static GlipOptions Options(SimdIsa isa) => new() { Isa = isa.Name(), Threads = 2 };

    private static GlipDetector Load(string path, SimdIsa isa) => GlipDetector.Load(path, Options(isa));

    private static void AssertSameStages(GlipDetector expected, GlipDetector actual)
    {
        Dictionary<string, byte[]> first = Stages(expected), second = Stages(actual);
        Assert.Equal(first.Keys, second.Keys);
        Assert.InRange(first.Count, 50, 1000);
        foreach ((string name, byte[] bytes) in first)
            Assert.True(bytes.AsSpan().SequenceEqual(second[name]), name);
    }

    private static Dictionary<string, byte[]> Stages(GlipDetector detector)
    {
        var stages = new Dictionary<string, byte[]>();
        detector.Trace(
            new NoisePicture(70, 40).View, SmallModel.Prompt, new ByteSink(stages), new DetectOptions { MinSize = 0 });
        return stages;
    }

    private string WriteSmallModel(TensorType type)
    {
        using WeightSource weights = SmallModel.Weights();
        var tensors = new List<Tensor>();
        foreach (string name in weights.TensorNames)
        {
            weights.TryGetTensor(name, out WeightTensor tensor);
            tensors.Add(new(name, tensor.Type, tensor.Shape.ToArray(), tensor.Bytes.ToArray()));
        }

        return Write("small", type, tensors, SmallModel.Config, SmallModel.Vocabulary);
    }

    private string WriteTiny(TensorType type) => Write("tiny", type, Tensors(), Config, VocabularyBytes);

    private string Write(string name, TensorType type, List<Tensor> tensors, GlipConfig config, byte[] vocabulary)
    {
        string wide = _folder.Write("wide", ModelBytes(
            [.. tensors, new(ModelFile.VocabularyTensor, TensorType.U8, [vocabulary.Length], vocabulary)],
            new() { [ModelFile.FormatKey] = "1", [ModelFile.ConfigKey] = System.Text.Encoding.UTF8.GetString(config.ToJson()) }));
        string path = _folder.File(name + ".safetensors");
        CheckpointConverter.Convert(new ConversionRequest { Source = wide, Target = path, Type = type });
        File.Delete(wide);
        return path;
    }

    private Task<int> Run(params string[] arguments) => WeightsCommandLine.RunAsync(arguments, _output, _error);

    /// <summary>Keeps every stage's bytes.</summary>
    private sealed class ByteSink(Dictionary<string, byte[]> stages) : IStageSink
    {
        public void Add(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data) => stages[name] = data.ToArray();
    }
}
