using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Text;

namespace Glip.Tests;

/// <summary>What an independent implementation of the default model found in one sample picture: an entry of tests/data/nano/expected.json.</summary>
/// <param name="Image">The picture's name under samples/.</param>
/// <param name="Prompt">What to look for.</param>
/// <param name="Boxes">What was found above <see cref="Listed"/>.</param>
internal sealed record StoredDetections(string Image, Prompt Prompt, IReadOnlyList<ScoredBox> Boxes)
{
    // The reference has single precision weights, our file half precision. Measured: scores within 4.0e-4, corners within 0.024 px. With the
    // same checkpoint converted to single precision: 4.9e-5 and 0.005 px, which is the rounding of the reference's decimals.
    private const float ScoreTolerance = 1e-3f;
    private const float CornerTolerance = 0.05f;

    // The reference lists what it scored above this.
    private const float Listed = 0.3f;

    /// <summary>All pictures of the repository in <paramref name="folder"/>.</summary>
    public static IReadOnlyList<StoredDetections> Read(string folder)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "tests", "data", "nano", "expected.json")));
        var scenes = new List<StoredDetections>();
        foreach (JsonElement scene in json.RootElement.EnumerateArray())
        {
            Prompt prompt = scene.GetProperty("prompt").GetString()!;
            string[] names = [.. prompt.Phrases.Select(p => p.Text)];
            ScoredBox[] boxes = [.. scene.GetProperty("detections").EnumerateArray().Select(d => Box(d, Array.IndexOf(names, d.GetProperty("phrase").GetString()) + 1))];
            scenes.Add(new StoredDetections(Path.Combine(folder, "samples", scene.GetProperty("image").GetString()!), prompt, boxes));
        }

        return scenes;
    }

    /// <summary>Detects in the picture and matches what is found with what is stored, one to one.</summary>
    public DetectionComparison Compare(GlipDetector detector)
    {
        var options = new DetectOptions { Threshold = Listed - ScoreTolerance, MinSize = 0, MaxSize = 0 };
        IReadOnlyList<Detection> detections = detector.Detect(ImageFile.Read(Image).View, Prompt, options);
        ScoredBox[] found =
        [
            .. detections.Select(d => new ScoredBox(d.Box.X1, d.Box.Y1, d.Box.X2, d.Box.Y2, d.Score, d.Label))
                .Where(d => d.Score > Listed + ScoreTolerance || Boxes.Any(b => b.Label == d.Label && Math.Abs(b.Score - d.Score) <= ScoreTolerance)),
        ];
        return DetectionMatcher.Compare(Boxes, found, scoreTolerance: ScoreTolerance, cornerTolerance: CornerTolerance, detectionsPerImage: int.MaxValue);
    }

    private static ScoredBox Box(JsonElement detection, int label)
    {
        JsonElement box = detection.GetProperty("box");
        return new(box[0].GetSingle(), box[1].GetSingle(), box[2].GetSingle(), box[3].GetSingle(), detection.GetProperty("score").GetSingle(), label);
    }
}
