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
        JsonElement size = root.GetProperty("image_size_hw");
        (ImageHeight, ImageWidth) = (size[0].GetInt32(), size[1].GetInt32());
        IsLarge = root.TryGetProperty("config", out JsonElement config) && config.GetString() == "glip_l";
        if (root.TryGetProperty("stats", out JsonElement stats))
            Statistics = stats.EnumerateObject().ToDictionary(s => s.Name, s => new StageStatistics(s.Value));
    }

    public GoldenTensors Expected { get; }

    /// <summary>Token positions of each label.</summary>
    public IReadOnlyDictionary<int, int[]> LabelTokens { get; }

    public int ImageHeight { get; }

    public int ImageWidth { get; }

    /// <summary>True for GLIP-L, whose 24 tower modules accumulate more rounding than GLIP-T's 18.</summary>
    public bool IsLarge { get; }

    public float InferenceThreshold => _settings.InferenceThreshold ?? 0.05f;

    /// <summary>What is known of stages of which only samples were recorded.</summary>
    public IReadOnlyDictionary<string, StageStatistics> Statistics { get; } = new Dictionary<string, StageStatistics>();

    public static GoldenCase Load(string folder, string name) => new(TestData.Path(folder, name + ".json"));

    /// <summary>Fails unless our labels have the recorded tokens.</summary>
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

/// <summary>What was recorded of a whole stage beside the samples.</summary>
public sealed class StageStatistics(JsonElement json)
{
    /// <summary>Elements from one sample to the next.</summary>
    public int Step { get; } = json.GetProperty("sample_step").GetInt32();

    /// <summary>Largest magnitude.</summary>
    public double Largest { get; } = Math.Max(Math.Abs(json.GetProperty("min").GetDouble()), Math.Abs(json.GetProperty("max").GetDouble()));

    /// <summary>Sum of all magnitudes.</summary>
    public double AbsoluteSum { get; } = json.GetProperty("abs_sum").GetDouble();
}
