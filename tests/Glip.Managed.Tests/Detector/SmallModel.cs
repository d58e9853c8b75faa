using System.Globalization;
using System.Text;
using System.Text.Json;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Tests.Detector;

/// <summary>A model with all of GLIP's parts that runs in milliseconds. Its weights are a formula's: it finds much, none of it sensible.</summary>
internal static class SmallModel
{
    private static readonly byte[] s_json = File.ReadAllBytes(TestData.Path("micro_b", "config.json"));

    public static GlipConfig Config { get; } = GlipConfig.Parse(s_json, "micro_b");

    /// <summary>As GLIP-T (A) has it: text meets the image in the head alone.</summary>
    public static GlipConfig WithoutFusion { get; } = Config with { Fusion = null, EarlyFuse = false, UseFusedFeaturesDotProduct = false };

    public static byte[] Vocabulary { get; } = File.ReadAllBytes(TestData.Path("vocab_micro_3000.txt"));

    /// <summary>Words that are one token each.</summary>
    public static Prompt Prompt { get; } = Prompt.Parse("person . dog . red car");

    public static WeightSource Weights(GlipConfig? config = null)
    {
        using JsonDocument document = JsonDocument.Parse(s_json);
        return new ProceduralWeights(config ?? Config, document.RootElement.GetProperty("seed").GetInt64(), Vocabulary);
    }

    public static GlipDetector Load(int threads = 1) => GlipDetector.Load(Weights(), new GlipOptions { Threads = threads });

    /// <summary>Every bit of a result as text.</summary>
    public static string Exact(IReadOnlyList<Detection> detections)
    {
        var text = new StringBuilder();
        foreach (Detection found in detections)
        {
            Box box = found.Box;
            float[] numbers = [box.X1, box.Y1, box.X2, box.Y2, found.Score, .. found.TokenScores.Select(t => t.Score)];
            _ = text.Append(CultureInfo.InvariantCulture, $"{found.Label} {found.Phrase}");
            foreach (float number in numbers)
                _ = text.Append(CultureInfo.InvariantCulture, $" {BitConverter.SingleToInt32Bits(number):X8}");
            _ = text.AppendLine();
        }

        return text.ToString();
    }
}
