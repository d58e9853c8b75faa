using System.Text.Json;
using Glip.Cli;
using Glip.Managed;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Text;

namespace Glip.Tests;

/// <summary>One recorded run of the original: picture, prompt, settings and every stage.</summary>
public sealed class GoldenCase
{
    private readonly TraceCase _settings;

    private GoldenCase(string path)
    {
        _settings = TraceCase.Load(path);
        Expected = GoldenTensors.Load(Path.ChangeExtension(path, ".safetensors"));
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
        JsonElement root = document.RootElement;
        LabelTokens = root.GetProperty("positive_map_label_to_token").EnumerateObject()
            .ToDictionary(label => int.Parse(label.Name), label => label.Value.EnumerateArray().Select(t => t.GetInt32()).ToArray());
        if (!root.TryGetProperty("stats", out JsonElement stats))
            return;
        Steps = stats.EnumerateObject().ToDictionary(s => s.Name, s => s.Value.GetProperty("sample_step").GetInt32());
        Magnitudes = stats.EnumerateObject().ToDictionary(
            s => s.Name, s => Math.Max(Math.Abs(s.Value.GetProperty("min").GetDouble()), Math.Abs(s.Value.GetProperty("max").GetDouble())));
    }

    public GoldenTensors Expected { get; }

    public IReadOnlyDictionary<int, int[]> LabelTokens { get; }

    /// <summary>For full-size models: each stage's distance between recorded samples.</summary>
    public IReadOnlyDictionary<string, int> Steps { get; } = new Dictionary<string, int>();

    /// <summary>For full-size models: each stage's largest magnitude.</summary>
    public IReadOnlyDictionary<string, double> Magnitudes { get; } = new Dictionary<string, double>();

    public static GoldenCase Load(string folder, string name) => new(TestData.Path(folder, name + ".json"));

    /// <summary>The tokens of each label, as recorded and as we map them.</summary>
    public void AssertLabelsEqual(WordPieceTokenizer tokenizer, int maxQueryLength)
    {
        PositiveMap map = EncodedPrompt.Encode(_settings.Prompt, tokenizer, maxQueryLength).PositiveMap;
        Assert.Equal(LabelTokens.Keys.Order(), Enumerable.Range(1, map.LabelCount));
        foreach ((int label, int[] tokens) in LabelTokens)
            Assert.Equal(tokens, map.TokensOf(label).ToArray());
    }

    /// <summary>All stages of this case by our engine.</summary>
    public StageCollector Run(GlipDetector detector)
    {
        DecodedImage image = ImageFile.Read(_settings.ImagePath);
        var stages = new StageCollector();

        // The original cuts long prompts silently.
        var options = new DetectOptions { MinSize = _settings.MinSize, MaxSize = _settings.MaxSize, AllowTruncatedPrompt = true };
        detector.Trace(image.View, _settings.Prompt, stages, options, _settings.InferenceThreshold);
        return stages;
    }
}
