using System.Runtime.InteropServices;
using System.Text;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Text;
using Glip.Managed.Weights;
using Glip.Tests.Detector;
using Glip.WeightsTools;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Tests.Weights;

/// <summary>Prompts whose rows are stored: tuned ones, which add to the text encoder's output, and those of models without the encoder.</summary>
public sealed class StoredPromptTests : IDisposable
{
    private const string Text = "person . dog . red car";
    private const int Width = 48;

    private readonly TempFolder _folder = new();
    private readonly byte[] _pixels = new byte[64 * 64 * 3];

    public StoredPromptTests() => new Random(2).NextBytes(_pixels);

    private string Model => _folder.File("model.safetensors");

    private string Stripped => _folder.File("stripped.safetensors");

    private string TunedPrompt => _folder.File("prompt.safetensors");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(TensorType.F32)]
    [InlineData(TensorType.F16)]
    public void A_model_without_text_encoder_gives_the_same_bits_for_its_prompts(object type)
    {
        Convert(SmallCheckpoint(), Model, (TensorType)type);
        Convert(SmallCheckpoint(), Stripped, (TensorType)type, prompts: $"{Text}\n\n cat \n");

        using GlipDetector whole = Load(Model), stripped = Load(Stripped);
        foreach (string text in (string[])[Text, "cat"])
        {
            string expected = Detect(whole, text);
            Assert.NotEmpty(expected);
            Assert.Equal(expected, Detect(stripped, text));
            Assert.Equal(expected, Detect(stripped, text)); // and again, from the session's memory
        }

        // Other spans of the same text are the same tokens.
        Assert.NotEmpty(Detect(stripped, Prompt.FromSpans(Text, [(9, 12)])));
        using ModelFile file = ModelFile.Open(Stripped);
        Assert.DoesNotContain(file.TensorNames, name => name.StartsWith("language_backbone.", StringComparison.Ordinal));
    }

    [Fact]
    public void A_model_without_text_encoder_refuses_other_prompts_and_names_its_own()
    {
        Convert(SmallCheckpoint(), Stripped, prompts: Text);
        using GlipDetector stripped = Load(Stripped);
        _ = Detect(stripped, Text);
        Refusal.Expect<ArgumentException>($"serves only the 1 prompts that are stored in it ('{Text}'), not 'zebra'", () => Detect(stripped, "zebra"));
        Assert.NotEmpty(Detect(stripped, Text));

        using var output = new StringWriter();
        using ModelFile file = ModelFile.Open(Stripped);
        ModelSummary.Of(file).WriteTo(output);
        Assert.Contains("text encoder    left out", output.ToString(), StringComparison.Ordinal);
        Assert.Contains($"stored prompt   '{Text}'", output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Tuned_rows_are_added_to_the_text_encoders_output_token_by_token()
    {
        ConvertTuned();
        using GlipDetector detector = Load(Model);
        Prompt tuned = PromptFile.Read(TunedPrompt);
        Assert.Equal(Text, tuned.Caption);
        Assert.Equal(Prompt.Parse(Text).Phrases, tuned.Phrases);

        float[] plain = Hidden(detector, Text), changed = Hidden(detector, tuned);
        Assert.Equal(plain.Length, changed.Length);
        for (int i = 0; i < plain.Length; i++)
            Assert.Equal(plain[i] + Row(i), changed[i]);
        Assert.NotEqual(Detect(detector, Text), Detect(detector, tuned));
        Assert.Equal(Detect(detector, Text), Detect(detector, Text)); // the tuning does not stay
    }

    [Fact]
    public void A_tuned_prompt_can_be_stored_in_a_model_without_text_encoder()
    {
        ConvertTuned();
        CheckpointConverter.Convert(new() { Source = Model, Target = Stripped, StoredPromptsPath = TunedPrompt });
        using GlipDetector whole = Load(Model), stripped = Load(Stripped);
        Assert.Equal(Detect(whole, PromptFile.Read(TunedPrompt)), Detect(stripped, Text));
        Refusal.Expect<ArgumentException>("no text encoder, which a tuned prompt adds to", () => Detect(stripped, PromptFile.Read(TunedPrompt)));
        Refusal.Expect<GlipFormatException>(
            "has no text encoder to make prompts with",
            () => CheckpointConverter.Convert(new() { Source = Stripped, Target = Model, StoredPromptsPath = TunedPrompt }));

        // Written anew, it keeps its prompts.
        CheckpointConverter.Convert(new() { Source = Stripped, Target = _folder.File("again.safetensors") });
        using GlipDetector again = Load(_folder.File("again.safetensors"));
        Assert.Equal(Detect(stripped, Text), Detect(again, Text));
    }

    [Fact]
    public void A_tuned_prompt_of_another_model_is_refused()
    {
        ConvertTuned();
        using GlipDetector other = GlipDetector.LoadDefault();
        Refusal.Expect<ArgumentException>("the prompt was tuned for another model", () => Detect(other, PromptFile.Read(TunedPrompt)));
    }

    [Fact]
    public void Tuning_that_is_not_asked_for_is_told()
    {
        Assert.True(Convert(SmallCheckpoint(tuned: true), Model).LeavesTuningOut);
        Assert.False(Convert(SmallCheckpoint(), Model).LeavesTuningOut);
        Refusal.Expect<GlipFormatException>("'rpn.tunable_linear.weight' is missing: the checkpoint has no tuned prompt", () => ConvertTuned(tuned: false));
    }

    [Fact]
    public void Prompts_that_cannot_be_stored_are_refused()
    {
        byte[] checkpoint = SmallCheckpoint();
        string lots = string.Join(" . ", Enumerable.Repeat("umbrella", 200));
        Refusal.Expect<GlipFormatException>("expected a prompt a line, found none", () => Convert(checkpoint, Stripped, prompts: "\n \n"));
        Refusal.Expect<GlipFormatException>("names nothing to look for", () => Convert(checkpoint, Stripped, prompts: "cat\n. .\n"));
        Refusal.Expect<GlipFormatException>("tokens, the model reads 256", () => Convert(checkpoint, Stripped, prompts: lots));
        Assert.False(File.Exists(Stripped));
    }

    [Theory]
    [InlineData("glip.prompt.format", "2", "glip.prompt.format must be 1, found '2'")]
    [InlineData("glip.prompt.format", null, "not a prompt file: the safetensors metadata lacks glip.prompt.format")]
    [InlineData("glip.prompt", null, "not a prompt file: the safetensors metadata lacks glip.prompt")]
    [InlineData("glip.prompt", "[]", "expected one prompt")]
    [InlineData("glip.prompt", "[null]", "glip.prompt: expected an array of prompts")]
    [InlineData("glip.prompt", "[{\"caption\":\"a\",\"spans\":[[[0,1]]]}]", "glip.prompt: ")]
    [InlineData("glip.prompt", "[{\"caption\":\"a\",\"spans\":[[[0,1]]],\"token_ids\":[1]}]", "expected a row for each of 1 tokens, found [2,3]")]
    [InlineData("glip.prompt", "[{\"caption\":\"a\",\"spans\":[[[0,9]]],\"token_ids\":[1,2]}]", "expected a span in 0..1")]
    [InlineData("glip.prompt", "[{\"caption\":\"a\",\"spans\":[[[0]]],\"token_ids\":[1,2]}]", "has no tokens, or spans that are not [begin,end]")]
    [InlineData("glip.prompt", "[{\"caption\":\"a\",\"spans\":[null],\"token_ids\":[1,2]}]", "has no tokens, or spans that are not [begin,end]")]
    public void Damaged_prompt_files_are_refused(string key, string? value, string message)
    {
        var metadata = new Dictionary<string, string>
        {
            ["glip.prompt.format"] = "1",
            ["glip.prompt"] = """[{"caption":"a","spans":[[[0,1]]],"token_ids":[1,2]}]""",
        };
        if (value is null)
            metadata.Remove(key);
        else
            metadata[key] = value;
        string path = _folder.Write("p", value == "[]" ? ModelBytes([new("rows", TensorType.F32, [0, 3], [])], metadata) : ModelBytes([new("rows", TensorType.F32, [2, 3], new byte[24])], metadata));
        Refusal.Expect<GlipFormatException>(message, () => PromptFile.Read(path));
    }

    [Fact]
    public void Rows_of_a_prompt_file_are_checked()
    {
        var metadata = new Dictionary<string, string> { ["glip.prompt.format"] = "1", ["glip.prompt"] = """[{"caption":"a","spans":[[[0,1]]],"token_ids":[1,2]}]""" };
        Refusal.Expect<GlipFormatException>("tensor 'rows' is missing", () => PromptFile.Read(_folder.Write("p", ModelBytes([], metadata))));
        Refusal.Expect<GlipFormatException>(
            "expected F32 with two dimensions, found F16 [2,3]",
            () => PromptFile.Read(_folder.Write("p", ModelBytes([new("rows", TensorType.F16, [2, 3], new byte[12])], metadata))));
        byte[] nan = new byte[24];
        BitConverter.TryWriteBytes(nan, float.NaN);
        Refusal.Expect<GlipFormatException>(
            "rows must be finite numbers",
            () => PromptFile.Read(_folder.Write("p", ModelBytes([new("rows", TensorType.F32, [2, 3], nan)], metadata))));
    }

    /// <summary>What tuning adds to element <paramref name="i"/> of the rows.</summary>
    private static float Row(int i) => (i % 7) - 3;

    private static GlipDetector Load(string path) => GlipDetector.Load(path, new GlipOptions { Isa = SimdIsas.Best.Name(), Threads = 1 });

    /// <summary>The micro model as a checkpoint, with or without tuned rows.</summary>
    private static byte[] SmallCheckpoint(bool tuned = false)
    {
        using WeightSource weights = SmallModel.Weights();
        var tensors = new List<Tensor>();
        foreach (string name in weights.TensorNames)
        {
            weights.TryGetTensor(name, out WeightTensor tensor);
            tensors.Add(new(name, tensor.Type, tensor.Shape.ToArray(), tensor.Bytes.ToArray()));
        }

        if (tuned)
        {
            float[] rows = [.. Enumerable.Range(0, 1000 * Width).Select(Row)];
            tensors.Add(new(CheckpointConverter.TunedRows, TensorType.F32, [1000, Width], MemoryMarshal.AsBytes(rows.AsSpan()).ToArray()));
        }

        return Checkpoint(tensors);
    }

    private ConversionReport Convert(byte[] checkpoint, string target, TensorType type = TensorType.F32, string? prompts = null) => CheckpointConverter.Convert(new()
    {
        Source = _folder.Write("x.pth", checkpoint),
        Config = SmallModel.Config,
        VocabularyPath = _folder.Write("vocab.txt", SmallModel.Vocabulary),
        Target = target,
        Type = type,
        StoredPromptsPath = prompts is null ? null : _folder.Write("prompts.txt", Encoding.UTF8.GetBytes(prompts)),
    });

    private void ConvertTuned(bool tuned = true) => CheckpointConverter.Convert(new()
    {
        Source = _folder.Write("x.pth", SmallCheckpoint(tuned)),
        Config = SmallModel.Config,
        VocabularyPath = _folder.Write("vocab.txt", SmallModel.Vocabulary),
        Target = Model,
        TunedText = Text,
        TunedPromptPath = TunedPrompt,
    });

    private string Detect(GlipDetector detector, Prompt prompt) =>
        SmallModel.Exact(detector.Detect(new ImageView(_pixels, 64, 64, PixelFormat.Rgb24), prompt, new DetectOptions { Threshold = 0.1f, MinSize = 0 }));

    private float[] Hidden(GlipDetector detector, Prompt prompt)
    {
        var sink = new HiddenSink();
        detector.Trace(new ImageView(_pixels, 64, 64, PixelFormat.Rgb24), prompt, sink, new DetectOptions { MinSize = 0 });
        return sink.Values;
    }

    private sealed class HiddenSink : IStageSink
    {
        public float[] Values { get; private set; } = [];

        public void Add(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data)
        {
            if (name == "lang.hidden")
                Values = MemoryMarshal.Cast<byte, float>(data).ToArray();
        }
    }
}
