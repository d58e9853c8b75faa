using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Tests;

/// <summary>What was found in one sample picture: by an independent implementation (tests/data/nano/expected.json), or by this one in another process.</summary>
/// <param name="Image">The picture's name under samples/.</param>
/// <param name="Prompt">What to look for.</param>
/// <param name="Size">Length that the shorter side is resized to; 0 keeps the size.</param>
/// <param name="Boxes">What was found above <see cref="Listed"/>.</param>
internal sealed record StoredDetections(string Image, string Prompt, int Size, IReadOnlyList<ScoredBox> Boxes)
{
    // The reference has single precision weights, our file half precision. Measured: scores within 4.5e-4, corners within 0.022 px. With the
    // same checkpoint converted to single precision: 5.0e-5 and 0.005 px, which is the rounding of the reference's decimals.
    private const float ScoreTolerance = 1e-3f;
    private const float CornerTolerance = 0.05f;

    // The reference lists what it scored above this.
    private const float Listed = 0.3f;

    /// <summary>The recordings of the independent implementation, of all pictures in <paramref name="repository"/>.</summary>
    public static IReadOnlyList<StoredDetections> ReadReference(string repository) => Read(Path.Combine(repository, "tests", "data", "nano", "expected.json"));

    /// <summary>The recordings in <paramref name="file"/>.</summary>
    public static IReadOnlyList<StoredDetections> Read(string file)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(file));
        var scenes = new List<StoredDetections>();
        foreach (JsonElement scene in json.RootElement.EnumerateArray())
        {
            string prompt = scene.GetProperty("prompt").GetString()!;
            string[] names = [.. Managed.Text.Prompt.Parse(prompt).Phrases.Select(p => p.Text)];
            ScoredBox[] boxes = [.. scene.GetProperty("detections").EnumerateArray().Select(d => Box(d, Array.IndexOf(names, d.GetProperty("phrase").GetString()) + 1))];
            int size = scene.TryGetProperty("size", out JsonElement given) ? given.GetInt32() : 0;
            scenes.Add(new StoredDetections(scene.GetProperty("image").GetString()!, prompt, size, boxes));
        }

        return scenes;
    }

    /// <summary>The same with what <paramref name="detector"/> finds at another size, as a file for <see cref="Read"/>.</summary>
    public void Write(string file, GlipDetector detector, string repository, int size)
    {
        using FileStream stream = File.Create(file);
        using var json = new Utf8JsonWriter(stream);
        json.WriteStartArray();
        json.WriteStartObject();
        json.WriteString("image", Image);
        json.WriteString("prompt", Prompt);
        json.WriteNumber("size", size);
        json.WriteStartArray("detections");
        foreach (Detection found in detector.Detect(ReadPicture(repository), Prompt, Options(size, Listed)))
        {
            json.WriteStartObject();
            json.WriteNumber("score", found.Score);
            json.WriteString("phrase", found.Phrase.Text);
            json.WriteStartArray("box");
            foreach (float corner in (float[])[found.Box.X1, found.Box.Y1, found.Box.X2, found.Box.Y2])
                json.WriteNumberValue(corner);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
    }

    /// <summary>Detects in the picture and matches what is found with what is stored, one to one.</summary>
    public DetectionComparison Compare(GlipDetector detector, string repository)
    {
        IReadOnlyList<Detection> detections = detector.Detect(ReadPicture(repository), Prompt, Options(Size, Listed - ScoreTolerance));
        ScoredBox[] found =
        [
            .. detections.Select(d => new ScoredBox(d.Box.X1, d.Box.Y1, d.Box.X2, d.Box.Y2, d.Score, d.Label))
                .Where(d => d.Score > Listed + ScoreTolerance || Boxes.Any(b => b.Label == d.Label && Math.Abs(b.Score - d.Score) <= ScoreTolerance)),
        ];
        return DetectionMatcher.Compare(Boxes, found, scoreTolerance: ScoreTolerance, cornerTolerance: CornerTolerance, detectionsPerImage: int.MaxValue);
    }

    /// <summary>Bytes that a repeated call allocates if it has nothing to report: the least of several, because the runtime allocates on its own now and then.</summary>
    public long RepeatedAllocation(GlipDetector detector, string repository)
    {
        DecodedImage picture = ImageFile.Read(Path.Combine(repository, "samples", Image));
        DetectOptions nothing = Options(Size, 1);
        Managed.Text.Prompt prompt = Prompt;
        detector.Detect(picture.View, prompt, nothing);
        long least = long.MaxValue;
        for (int i = 0; i < 5 && least > 0; i++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            detector.Detect(picture.View, prompt, nothing);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        return least;
    }

    private static DetectOptions Options(int size, float threshold) => new() { Threshold = threshold, MinSize = size, MaxSize = 0 };

    private static ScoredBox Box(JsonElement detection, int label)
    {
        JsonElement box = detection.GetProperty("box");
        return new(box[0].GetSingle(), box[1].GetSingle(), box[2].GetSingle(), box[3].GetSingle(), detection.GetProperty("score").GetSingle(), label);
    }

    private ImageView ReadPicture(string repository) => ImageFile.Read(Path.Combine(repository, "samples", Image)).View;
}
