using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Text;

namespace Glip.Tests;

/// <summary>The trained model that comes with the library, on the sample pictures: as another implementation sees them, and as they are.</summary>
public class NanoTests
{
    [Fact]
    public void Detections_equal_those_of_an_independent_implementation()
    {
        using GlipDetector detector = Load();
        int count = 0;
        foreach (StoredDetections stored in StoredDetections.ReadReference(TestData.Path("..", "..")))
        {
            DetectionComparison comparison = stored.Compare(detector, TestData.Path("..", ".."));
            Assert.True(comparison.IsMatch, $"{stored.Image}: {comparison}");
            count += comparison.Matched;
        }

        Assert.Equal(50, count);
    }

    /// <summary>All 36 objects are found, and 36 of 40 detections are right (90 %).</summary>
    [Fact]
    public void With_its_defaults_it_finds_nine_of_ten_objects_and_little_else()
    {
        using GlipDetector detector = Load();
        using JsonDocument truth = JsonDocument.Parse(File.ReadAllBytes(TestData.Path("nano", "truth.json")));
        int objects = 0, found = 0, detections = 0, right = 0;
        foreach (JsonElement scene in truth.RootElement.EnumerateArray())
        {
            (Box Box, string Name)[] things =
            [
                .. scene.GetProperty("boxes").EnumerateArray().Zip(
                    scene.GetProperty("labels").EnumerateArray(), (box, label) => (Corners(box), label.GetString()!)),
            ];
            var prompt = Prompt.FromCategories(scene.GetProperty("names").EnumerateArray().Select(n => n.GetString()!));
            IReadOnlyList<Detection> result = detector.Detect(Picture(scene).View, prompt);
            objects += things.Length;
            detections += result.Count;
            found += things.Count(thing => result.Any(d => Shows(d, thing)));
            right += result.Count(d => things.Any(thing => Shows(d, thing)));
        }

        Assert.Equal(36, objects);
        Assert.True(found >= 0.9 * objects, $"found {found} of {objects}");
        Assert.True(right >= 0.9 * detections, $"{right} of {detections} detections are right");
    }

    private static bool Shows(Detection detection, (Box Box, string Name) thing) =>
        detection.Phrase.Text == thing.Name && Overlap(detection.Box, thing.Box) >= 0.5;

    private static double Overlap(Box a, Box b)
    {
        double width = Math.Max(Math.Min(a.X2, b.X2) - Math.Max(a.X1, b.X1), 0), height = Math.Max(Math.Min(a.Y2, b.Y2) - Math.Max(a.Y1, b.Y1), 0);
        double common = width * height;
        return common / (Area(a) + Area(b) - common);

        static double Area(Box box) => (box.X2 - box.X1) * (box.Y2 - box.Y1);
    }

    private static GlipDetector Load() => GlipDetector.Load(TestData.Path("..", "..", "models", "glip-nano.safetensors"));

    private static DecodedImage Picture(JsonElement scene) => ImageFile.Read(TestData.Path("..", "..", "samples", scene.GetProperty("image").GetString()!));

    private static Box Corners(JsonElement box) => new(box[0].GetSingle(), box[1].GetSingle(), box[2].GetSingle(), box[3].GetSingle());
}
