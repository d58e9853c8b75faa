using System.Text.Json;
using Glip.Kernels;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Model;
using Glip.Managed.Text;
using Glip.Managed.Weights;
using Glip.Tests;

namespace Glip.Managed.Tests.Cli;

/// <summary>The commands from the arguments to the files that they write, with the model that comes with the library.</summary>
public class DefaultModelCommandTests
{
    private const string Phrases = "alarm clock . guitar . hamburger . red circle";

    public static TheoryData<string> AvailableIsas => [.. SimdIsas.Available.Select(SimdIsas.Name)];

    private static string ModelPath => TestData.Path("..", "..", "models", "glip-nano.safetensors");

    [Fact]
    public void Json_is_what_the_library_returns()
    {
        using var command = new CommandRun { LoadsModels = true };
        using GlipDetector detector = GlipDetector.LoadDefault();
        IReadOnlyList<Detection> expected = detector.Detect(ImageFile.Read(Sample("scene1.png")).View, Phrases);

        AssertSuccess(command, "detect", Sample("scene1.png"), Phrases, "--json", "-");

        using JsonDocument json = JsonDocument.Parse(command.Out);
        JsonElement root = json.RootElement;
        Assert.Equal((224, 224), (root.GetProperty("image").GetProperty("width").GetInt32(), root.GetProperty("image").GetProperty("height").GetInt32()));
        Assert.Equal(detector.ModelName, root.GetProperty("model").GetString());
        Assert.Equal(Phrases, root.GetProperty("prompt").GetString());
        Assert.Equal(["alarm clock", "guitar", "hamburger", "red circle"], expected.Select(d => d.Phrase.Text).Distinct().Order());
        Assert.Equal(expected, root.GetProperty("detections").EnumerateArray().Select(Read));
    }

    [Fact]
    public void Detections_in_the_samples_are_those_of_an_independent_implementation()
    {
        // The recording has single precision weights and few decimals, the model file half precision.
        const float scoreTolerance = 1e-3f, cornerTolerance = 0.1f;
        using var command = new CommandRun { LoadsModels = true };
        using JsonDocument recording = JsonDocument.Parse(File.ReadAllBytes(TestData.Path("nano", "expected.json")));
        foreach (JsonElement scene in recording.RootElement.EnumerateArray())
        {
            string[] names = [.. scene.GetProperty("names").EnumerateArray().Select(n => n.GetString()!)];
            AssertSuccess(
                command, "detect", Sample(scene.GetProperty("image").GetString()!), scene.GetProperty("prompt").GetString()!, "--json", "-", "--min-size", "0", "--threshold", "0.299");

            using JsonDocument json = JsonDocument.Parse(command.Out);
            ScoredBox[] expected = [.. scene.GetProperty("detections").EnumerateArray().Select(d => Box(d, names))];
            ScoredBox[] actual = [.. json.RootElement.GetProperty("detections").EnumerateArray().Select(d => Box(d, names))];
            DetectionComparison comparison = DetectionMatcher.Compare(
                expected, [.. actual.Where(d => d.Score > 0.301f || expected.Any(e => Math.Abs(e.Score - d.Score) <= scoreTolerance))], null, scoreTolerance, cornerTolerance);
            Assert.True(comparison.IsMatch, $"{scene.GetProperty("image")}: {comparison}");
            Assert.Equal(expected.Length, comparison.Matched);
        }
    }

    [Theory]
    [MemberData(nameof(AvailableIsas))]
    public void Every_instruction_set_finds_the_same(string isa)
    {
        using var command = new CommandRun { LoadsModels = true };
        using GlipDetector detector = GlipDetector.LoadDefault(new GlipOptions { Isa = "scalar", Threads = 1 });
        IReadOnlyList<Detection> expected = detector.Detect(ImageFile.Read(Sample("scene2.png")).View, "basketball . light bulb");

        AssertSuccess(command, "detect", Sample("scene2.png"), "basketball . light bulb", "--json", "-", "--isa", isa, "--threads", "2");

        using JsonDocument json = JsonDocument.Parse(command.Out);
        Detection[] actual = [.. json.RootElement.GetProperty("detections").EnumerateArray().Select(Read)];
        Assert.Equal(4, actual.Length);
        DetectionComparison comparison = DetectionMatcher.Compare([.. expected.Select(Box)], [.. actual.Select(Box)]);
        Assert.True(comparison.IsMatch, comparison.ToString());
    }

    [Fact]
    public void Prints_a_table_and_draws_on_the_picture()
    {
        using var command = new CommandRun { LoadsModels = true };

        AssertSuccess(command, "detect", Sample("scene1.png"), Phrases);

        foreach (string phrase in Phrases.Split(" . "))
            Assert.Contains(phrase, command.Out);
        DecodedImage plain = ImageFile.Read(Sample("scene1.png")), drawn = ImageFile.Read(command.File("scene1.detections.png"));
        int scale = drawn.Width / plain.Width;
        Assert.Equal((plain.Width * scale, plain.Height * scale), (drawn.Width, drawn.Height));
        int changed = Enumerable.Range(0, drawn.Width * drawn.Height).Count(i =>
        {
            int from = ((i / drawn.Width / scale * plain.Width) + (i % drawn.Width / scale)) * 3;
            return !drawn.Pixels.AsSpan(i * 3, 3).SequenceEqual(plain.Pixels.AsSpan(from, 3));
        });
        Assert.InRange(changed / (double)(drawn.Width * drawn.Height), 0.01, 0.3);
    }

    [Fact]
    public void A_model_named_by_its_path_is_the_same_model()
    {
        using var command = new CommandRun { LoadsModels = true };
        AssertSuccess(command, "detect", Sample("scene1.png"), Phrases, "--json", "-");
        string byDefault = Detections(command);

        AssertSuccess(command, "detect", Sample("scene1.png"), Phrases, "--json", "-", "--model", ModelPath);
        Assert.Equal(byDefault, Detections(command));

        // Its own vocabulary from another file changes nothing, another one does.
        using (ModelFile model = ModelFile.Open(ModelPath))
        {
            string[] tokens = System.Text.Encoding.UTF8.GetString(model.Vocabulary.Span).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            File.WriteAllLines(command.File("own.txt"), tokens);
            (tokens[^1], tokens[^2]) = (tokens[^2], tokens[^1]);
            File.WriteAllLines(command.File("other.txt"), [.. tokens.Select(t => t == "guitar" ? "lute" : t)]);
        }

        AssertSuccess(command, "detect", Sample("scene1.png"), Phrases, "--json", "-", "--model", ModelPath, "--vocab", command.File("own.txt"));
        Assert.Equal(byDefault, Detections(command));
        AssertSuccess(command, "detect", Sample("scene1.png"), Phrases, "--json", "-", "--model", ModelPath, "--vocab", command.File("other.txt"));
        Assert.NotEqual(byDefault, Detections(command));
    }

    [Fact]
    public void Inspect_shows_sizes_and_names()
    {
        using var command = new CommandRun();

        AssertSuccess(command, "inspect", ModelPath);

        Assert.Contains($"glip-nano, {ModelPath}", command.Out);
        Assert.Contains("867 tokens known", command.Out);
        Assert.Contains("324 (220 F32, 104 F16)", command.Out);
        Assert.Contains("3,998,000", command.Out);
        Assert.Contains("228: dog, cat", command.Out);
    }

    [Fact]
    public void Inspect_shows_a_model_made_by_a_formula()
    {
        using var command = new CommandRun();
        File.WriteAllText(command.File("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");

        AssertSuccess(command, "inspect", "procedural:glip-l:1", "--vocab", command.File("vocab.txt"));

        long parameters = ParameterList.Of(GlipConfig.Published("glip-l")).Sum(p => p.Shape.Aggregate(1L, (a, b) => a * b));
        Assert.Contains("glip-l, procedural:glip-l:1", command.Out);
        Assert.Matches($"parameters +{parameters:#,0}", command.Out);
    }

    [Fact]
    public void Trace_writes_every_stage_and_ends_with_the_detections()
    {
        using var command = new CommandRun { LoadsModels = true };
        string output = command.File("stages.safetensors");
        using GlipDetector detector = GlipDetector.LoadDefault();
        IReadOnlyList<Detection> expected = detector.Detect(ImageFile.Read(Sample("scene1.png")).View, Phrases);

        AssertSuccess(command, "trace", Sample("scene1.png"), Phrases, "--out", output);

        var stages = GoldenTensors.Load(output);
        Assert.Contains($"{stages.Count} tensors", command.Out);
        Assert.Equal((Phrases, detector.Isa, detector.ModelName), (stages.Metadata["prompt"], stages.Metadata["isa"], stages.Metadata["model"]));
        int above = expected.Count;
        Assert.Equal(expected.Select(d => d.Score), stages["final.scores"].Float[..above].ToArray());
        Assert.Equal(expected.Select(d => (long)d.Label), stages["final.labels"].Long[..above].ToArray());
        Assert.Equal(expected.Select(d => d.Box.X1), stages["final.boxes"].Float[..(4 * above)].ToArray().Where((_, i) => i % 4 == 0));
        Assert.True(stages["final.scores"].Float[above] <= detector.Config.DefaultThreshold);
    }

    [Fact]
    public void Trace_of_a_recorded_case_has_the_recordings_stages()
    {
        using var command = new CommandRun { LoadsModels = true };
        string output = command.File("stages.safetensors"), recorded = TestData.Path("micro_b", "c0_full.json");

        AssertSuccess(command, "trace", "--case", recorded, "--out", output);

        // The recording has two things more that no result depends on; this model is built of the same parts in other sizes.
        var stages = GoldenTensors.Load(output);
        var golden = GoldenTensors.Load(Path.ChangeExtension(recorded, ".safetensors"));
        string[] missing = [.. golden.Keys.Except(stages.Keys).Where(n => !n.StartsWith("head.cls_logits.", StringComparison.Ordinal) && n != "lang.aggregate")];
        Assert.Empty(missing);
        Assert.Equal(golden["pre.resized_u8"].Bytes, stages["pre.resized_u8"].Bytes);
        Assert.Equal(golden["text.attention_mask"].Long.ToArray(), stages["text.attention_mask"].Long.ToArray());
        Assert.Equal("person . dog . umbrella . red car .", stages.Metadata["prompt"].TrimEnd());
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 4000)]
    [InlineData(4000, 1)]
    public void Tiny_and_thin_pictures_are_no_error(int width, int height)
    {
        using var command = new CommandRun { LoadsModels = true };
        ImageFile.WritePng(command.File("thin.png"), new ImageView(new byte[width * height], width, height, PixelFormat.Gray8));

        // The model's cap on the longer side keeps what the shorter one would become in bounds.
        AssertSuccess(command, "detect", command.File("thin.png"), "guitar", "--json", "-");

        using JsonDocument json = JsonDocument.Parse(command.Out);
        Assert.Equal(height, json.RootElement.GetProperty("image").GetProperty("height").GetInt32());
        Assert.All(json.RootElement.GetProperty("detections").EnumerateArray().Select(Read), d =>
        {
            Assert.InRange(d.Box.X2, d.Box.X1, width);
            Assert.InRange(d.Box.Y2, d.Box.Y1, height);
        });
    }

    private static string Sample(string name) => TestData.Path("..", "..", "samples", name);

    private static void AssertSuccess(CommandRun command, params string[] args)
    {
        int code = command.Run(args);
        Assert.True(code == 0 && command.Error.Length == 0, $"code {code}: {command.Error}");
    }

    private static string Detections(CommandRun command)
    {
        using JsonDocument json = JsonDocument.Parse(command.Out);
        Assert.NotEqual(0, json.RootElement.GetProperty("detections").GetArrayLength());
        return json.RootElement.GetProperty("detections").GetRawText();
    }

    private static Detection Read(JsonElement json)
    {
        float[] box = [.. json.GetProperty("box").EnumerateArray().Select(v => v.GetSingle())];
        int[] span = [.. json.GetProperty("span").EnumerateArray().Select(v => v.GetInt32())];
        return new Detection(
            new Box(box[0], box[1], box[2], box[3]),
            json.GetProperty("score").GetSingle(),
            json.GetProperty("label").GetInt32(),
            new PhraseSpan(json.GetProperty("phrase").GetString()!, span[0], span[1]));
    }

    private static ScoredBox Box(Detection d) => new(d.Box.X1, d.Box.Y1, d.Box.X2, d.Box.Y2, d.Score, d.Label);

    private static ScoredBox Box(JsonElement json, string[] names)
    {
        float[] box = [.. json.GetProperty("box").EnumerateArray().Select(v => v.GetSingle())];
        return new ScoredBox(box[0], box[1], box[2], box[3], json.GetProperty("score").GetSingle(), Array.IndexOf(names, json.GetProperty("phrase").GetString()));
    }
}
