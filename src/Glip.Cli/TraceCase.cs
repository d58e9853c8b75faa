using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Text;

namespace Glip.Cli;

/// <summary>One run to trace.</summary>
/// <param name="ImagePath">The picture.</param>
/// <param name="Prompt">The text and its phrases.</param>
/// <param name="MinSize">Shorter side after resizing; 0 keeps the size; null takes the model's default.</param>
/// <param name="MaxSize">Cap on the longer side; 0 for none; null takes the model's default.</param>
/// <param name="InferenceThreshold">Probability above which candidates count; null takes the model's.</param>
internal sealed record TraceCase(string ImagePath, Prompt Prompt, int? MinSize, int? MaxSize, float? InferenceThreshold)
{
    /// <summary>The file that says all this; null if the command line does.</summary>
    public string? CasePath { get; private init; }

    private const string InferenceThresholdKey = "MODEL.ATSS.INFERENCE_TH";

    /// <summary>Reads a golden case: a JSON object with image, min_image_size, caption, tokens_positive or entities, and cfg_overrides.</summary>
    /// <exception cref="GlipFormatException">Not such a file; the message names what is wrong in it.</exception>
    /// <exception cref="IOException">The file cannot be read, or its picture does not exist.</exception>
    public static TraceCase Load(string path)
    {
        InputPath.Check(path, "case");
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement root = document.RootElement;
            return new TraceCase(
                FindImage(path, Required(root, "image").GetString()!),
                ReadPrompt(root),
                MinSize: Required(root, "min_image_size") is { ValueKind: not JsonValueKind.Null } size ? size.GetInt32() : 0,
                MaxSize: 0, // the original's demo, which made the goldens, has no cap
                ReadInferenceThreshold(root))
            {
                CasePath = path,
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw new GlipFormatException($"{path}: not a golden case: {e.Message}", e);
        }
    }

    private static string FindImage(string casePath, string image)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(casePath))!;
        string beside = Path.Combine(folder, image);
        string above = Path.Combine(folder, "..", image);
        return File.Exists(beside) ? beside : File.Exists(above) ? above : throw new FileNotFoundException($"{casePath}: its picture is neither {beside} nor {Path.GetFullPath(above)}");
    }

    private static Prompt ReadPrompt(JsonElement root)
    {
        JsonElement caption = Required(root, "caption");
        if (caption.ValueKind == JsonValueKind.Array)
            return Prompt.FromCategories(Array.ConvertAll(caption.EnumerateArray().ToArray(), c => c.GetString()!));
        string text = caption.GetString() ?? throw new FormatException("caption is null");
        if (root.TryGetProperty("tokens_positive", out JsonElement spans) && spans.ValueKind == JsonValueKind.Array)
            return Prompt.FromSpans(text, Array.ConvertAll(spans.EnumerateArray().ToArray(), ReadSpans));
        if (root.TryGetProperty("entities", out JsonElement entities) && entities.GetArrayLength() > 0)
        {
            var found = new List<(int Begin, int End)>();
            foreach (JsonElement entity in entities.EnumerateArray())
                found.AddRange(FindEntity(text, entity.GetString()!));
            return Prompt.FromSpans(text, found);
        }

        return Prompt.Parse(text);
    }

    /// <summary>A label's character ranges: <c>[[begin, end], …]</c>.</summary>
    private static IReadOnlyList<(int Begin, int End)> ReadSpans(JsonElement label) =>
        Array.ConvertAll(label.EnumerateArray().ToArray(), span => (span[0].GetInt32(), span[1].GetInt32()));

    /// <summary>The original looks for noun phrases in the lowercased caption; every match becomes a label of its own (trap T2).</summary>
    private static IEnumerable<(int Begin, int End)> FindEntity(string caption, string entity)
    {
        if (entity.Length == 0)
            throw new FormatException("entities holds an empty text");
        for (int at = 0; (at = caption.IndexOf(entity, at, StringComparison.OrdinalIgnoreCase)) >= 0; at += entity.Length)
        {
            int begin = CodePoints.Count(caption.AsSpan(0, at));
            yield return (begin, begin + CodePoints.Count(entity));
        }
    }

    /// <summary>Overrides are a flat list: key, value, key, value.</summary>
    private static float? ReadInferenceThreshold(JsonElement root)
    {
        if (!root.TryGetProperty("cfg_overrides", out JsonElement overrides) || overrides.GetArrayLength() == 0)
            return null;
        if (overrides.GetArrayLength() != 2 || overrides[0].GetString() != InferenceThresholdKey)
            throw new FormatException($"cfg_overrides may set {InferenceThresholdKey} only, found {overrides.GetRawText()}");
        return overrides[1].GetSingle();
    }

    private static JsonElement Required(JsonElement root, string key) =>
        root.TryGetProperty(key, out JsonElement value) ? value : throw new FormatException($"'{key}' is missing");
}
