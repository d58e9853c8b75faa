using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Text;

namespace Glip.Tests;

/// <summary>One recorded run of the original: picture, prompt, settings and every stage.</summary>
public sealed class GoldenCase
{
    private GoldenCase(string path, string imageFolder)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
        JsonElement root = document.RootElement;
        Expected = GoldenTensors.Load(Path.ChangeExtension(path, ".safetensors"));
        ImagePath = Path.Combine(imageFolder, Path.GetFileName(root.GetProperty("image").GetString()!));
        MinSize = root.GetProperty("min_image_size") is { ValueKind: JsonValueKind.Number } size ? size.GetInt32() : 0;
        Tokens = root.GetProperty("n_tokens").GetInt32();
        JsonElement caption = root.GetProperty("caption");
        if (caption.ValueKind == JsonValueKind.Array)
        {
            Prompt = Prompt.FromCategories(caption.EnumerateArray().Select(c => c.GetString()!));
        }
        else
        {
            // Each label has a list of character ranges; the recorded runs use one each. Older recordings name only the phrases.
            Prompt = root.TryGetProperty("tokens_positive", out JsonElement spans)
                ? Prompt.FromSpans(caption.GetString()!, spans.EnumerateArray().Select(label => (label[0][0].GetInt32(), label[0][1].GetInt32())))
                : Prompt.Parse(caption.GetString()!);
        }

        if (root.TryGetProperty("cfg_overrides", out JsonElement overrides) && overrides.GetArrayLength() > 0)
        {
            Assert.Equal("MODEL.ATSS.INFERENCE_TH", overrides[0].GetString());
            InferenceThreshold = overrides[1].GetSingle();
        }

        LabelTokens = root.GetProperty("positive_map_label_to_token").EnumerateObject()
            .ToDictionary(label => int.Parse(label.Name), label => label.Value.EnumerateArray().Select(t => t.GetInt32()).ToArray());
        if (root.TryGetProperty("stats", out JsonElement stats))
            Steps = stats.EnumerateObject().ToDictionary(s => s.Name, s => s.Value.GetProperty("sample_step").GetInt32());
        if (root.TryGetProperty("stats", out stats))
            Magnitudes = stats.EnumerateObject().ToDictionary(
                s => s.Name, s => Math.Max(Math.Abs(s.Value.GetProperty("min").GetDouble()), Math.Abs(s.Value.GetProperty("max").GetDouble())));
    }

    public GoldenTensors Expected { get; }

    public string ImagePath { get; }

    public int MinSize { get; }

    public int Tokens { get; }

    public Prompt Prompt { get; }

    public float? InferenceThreshold { get; }

    public IReadOnlyDictionary<int, int[]> LabelTokens { get; }

    /// <summary>For full-size models: each stage's distance between recorded samples.</summary>
    public IReadOnlyDictionary<string, int> Steps { get; } = new Dictionary<string, int>();

    /// <summary>For full-size models: each stage's largest magnitude.</summary>
    public IReadOnlyDictionary<string, double> Magnitudes { get; } = new Dictionary<string, double>();

    public static GoldenCase Load(string folder, string name, string imageFolder) =>
        new(TestData.Path(folder, name + ".json"), TestData.Path(imageFolder));

    /// <summary>All stages of this case by our engine.</summary>
    public StageCollector Run(GlipDetector detector)
    {
        DecodedImage image = ImageFile.Read(ImagePath);
        var stages = new StageCollector();

        // The original's demo path has no cap on the longer side and cuts long prompts silently.
        var options = new DetectOptions { MinSize = MinSize, MaxSize = 0, AllowTruncatedPrompt = true };
        detector.Trace(image.View, Prompt, stages, options, InferenceThreshold);
        return stages;
    }
}
