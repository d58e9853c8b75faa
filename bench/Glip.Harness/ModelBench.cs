using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Model;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Harness;

/// <summary>Times whole detections of a published configuration with procedural weights: no checkpoint needed.</summary>
internal static class ModelBench
{
    public static Command Command()
    {
        var config = new Option<string>("--config") { Description = "glip-t-a, glip-t-b, glip-t-c, glip-t or glip-l", DefaultValueFactory = _ => "glip-t" };
        var size = new Option<string>("--size") { Description = "picture rows x columns, used without resizing", DefaultValueFactory = _ => "800x1216" };
        var tokens = new Option<int>("--tokens") { Description = "text tokens, [CLS] and [SEP] included", DefaultValueFactory = _ => 11 };
        var machine = new MachineOptions();
        var repeat = new Option<int>("--repeat") { Description = "timed calls after one warm-up", DefaultValueFactory = _ => 5 };
        var command = new Command("model", "time Detect() end to end") { config, size, tokens, repeat };
        machine.AddTo(command);
        command.SetAction(parsed => Run(
            parsed.GetValue(config)!, parsed.GetValue(size)!, parsed.GetValue(tokens), machine.Threads(parsed), machine.Isa(parsed).Name(),
            parsed.GetValue(repeat), machine.Json(parsed)));
        return command;
    }

    private static int Run(string configName, string size, int tokens, int threads, string isa, int repeat, bool json)
    {
        string[] sides = size.Split('x');
        if (sides.Length != 2 || !int.TryParse(sides[0], CultureInfo.InvariantCulture, out int height) || !int.TryParse(sides[1], CultureInfo.InvariantCulture, out int width)
            || height < 1 || width < 1 || tokens < 3 || repeat < 1 || threads < 0)
        {
            Console.Error.WriteLine($"glip-bench: expected --size HxW, --tokens 3 or more, --repeat 1 or more, found '{size}', {tokens}, {repeat}");
            return 2;
        }

        GlipConfig config = GlipConfig.Published(configName);
        using var detector = GlipDetector.Load(new ProceduralWeights(config, 1, PlaceholderVocabulary(config)), new GlipOptions { Isa = isa, Threads = threads });
        byte[] pixels = new byte[height * width * 3];
        new Random(1).NextBytes(pixels);
        Prompt prompt = Prompt.FromSpans(string.Concat(Enumerable.Repeat("a ", tokens - 2)), [(0, 1)]);
        var options = new DetectOptions { MinSize = 0, MaxSize = 0, Threshold = 1 };

        detector.Detect(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options);
        var seconds = new double[repeat];
        long allocated = 0;
        for (int i = 0; i < repeat; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            detector.Detect(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options);
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        IReadOnlyList<StageCost> stages = detector.Profile(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options);
        long multiplyAdds = stages.Sum(stage => stage.MultiplyAdds);
        Array.Sort(seconds);
        double median = (seconds[(repeat - 1) / 2] + seconds[repeat / 2]) / 2;
        using Process process = Process.GetCurrentProcess();
        long workspace = detector.WorkspaceBytes(height, width, prompt, options);
        if (json)
        {
            Console.WriteLine(Report.Json(writer =>
            {
                writer.WriteString("config", configName);
                writer.WriteString("size", size);
                writer.WriteNumber("tokens", tokens);
                writer.WriteNumber("median_s", median);
                writer.WriteNumber("min_s", seconds[0]);
                writer.WriteNumber("threads", detector.Threads);
                writer.WriteString("isa", detector.Isa);
                writer.WriteNumber("macs", multiplyAdds);
                writer.WriteNumber("peak_rss_bytes", process.PeakWorkingSet64);
                writer.WriteNumber("workspace_bytes", workspace);
                writer.WriteNumber("allocated_bytes", allocated);
                writer.WriteStartArray("stages");
                foreach (StageCost stage in stages)
                {
                    writer.WriteStartObject();
                    writer.WriteString("stage", stage.Name);
                    writer.WriteNumber("seconds", stage.Seconds);
                    writer.WriteNumber("macs", stage.MultiplyAdds);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
            }));
        }
        else
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{configName} {size} {tokens} tokens {detector.Isa} {detector.Threads} threads: median {median:F3} s, min {seconds[0]:F3} s, "
                + $"peak RSS {process.PeakWorkingSet64 / 1e6:F0} MB, workspace {workspace / 1e6:F0} MB, {allocated} bytes allocated a call"));
            foreach (StageCost stage in stages)
            {
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"  {stage.Name,-12} {stage.Seconds * 1e3,8:F1} ms {stage.MultiplyAdds / 1e9,8:F2} GMAC {2e-9 * stage.MultiplyAdds / stage.Seconds,7:F0} GFLOP/s"));
            }
        }

        return 0;
    }

    /// <summary>A vocabulary of the model's size whose words mean nothing: specials, then the letter that the prompt repeats.</summary>
    private static byte[] PlaceholderVocabulary(GlipConfig config)
    {
        IEnumerable<string> tokens = new[] { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a" }
            .Concat(Enumerable.Range(6, config.Bert.VocabularySize - 6).Select(i => $"[unused{i}]"));
        return Encoding.UTF8.GetBytes(string.Join('\n', tokens));
    }
}
