using System.CommandLine;
using System.Diagnostics;
using System.Text;
using Glip.Harness.Measuring;
using Glip.Harness.Reports;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Model;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Harness.Commands;

/// <summary>Times whole detections of a published configuration with procedural weights: no checkpoint needed.</summary>
internal static class ModelCommand
{
    private const int MostTokens = 4096;

    public static Command Create(TextWriter output)
    {
        var config = new Option<string>("--config")
        {
            Description = $"{string.Join(", ", GlipConfig.PublishedNames)}; default glip-t",
            HelpName = "NAME",
            DefaultValueFactory = _ => "glip-t",
        };
        var size = new Option<string>("--size")
        {
            Description = "picture rows x columns, used without resizing; default 800x1216",
            HelpName = "HxW",
            DefaultValueFactory = _ => "800x1216",
        };
        var tokens = NumberOption.Count("--tokens", "text tokens, [CLS] and [SEP] included; default 11", 3, MostTokens);
        var repeat = NumberOption.Count("--repeat", "timed calls after one warm-up; default 5", 1);
        var machine = new MachineOptions();
        var format = new ReportOptions();
        var command = new Command("model", "time whole detections") { config, size, tokens, repeat };
        machine.AddTo(command);
        format.AddTo(command);
        command.SetAction(parsed =>
        {
            Report report = Run(
                parsed.GetRequiredValue(config), parsed.GetRequiredValue(size), parsed.GetValue(tokens) ?? 11, machine.Threads(parsed), machine.Isa(parsed),
                parsed.GetValue(repeat) ?? 5);
            format.Write(report, parsed, output);
        });
        return command;
    }

    private static Report Run(string configName, string size, int tokens, int threads, SimdIsa isa, int repeat)
    {
        (int height, int width) = ModelOptions.ParseSize(size);
        GlipConfig config = GlipConfig.Published(configName);
        using var detector = GlipDetector.Load(
            new ProceduralWeights(config, 1, PlaceholderVocabulary(config)), new GlipOptions { Isa = isa.Name(), Threads = threads });
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
        using Process process = Process.GetCurrentProcess();
        var report = new Report();
        report.Add("config", configName);
        report.Add("size", size);
        report.Add("tokens", tokens);
        report.Add("median_s", Cell.Number(KernelTimer.Median(seconds), 3));
        report.Add("min_s", Cell.Number(seconds.Min(), 3));
        report.Add("threads", detector.Threads);
        report.Add("isa", detector.Isa);
        report.Add("macs", stages.Sum(stage => stage.MultiplyAdds));
        report.Add("peak_rss_bytes", process.PeakWorkingSet64);
        report.Add("workspace_bytes", detector.WorkspaceBytes(height, width, prompt, options));
        report.Add("allocated_bytes", allocated);
        ReportTable table = report.AddTable("stages", "stage", "seconds", "macs", "gflops");
        foreach (StageCost stage in stages)
            table.Add(stage.Name, Cell.Number(stage.Seconds, 4), stage.MultiplyAdds, Cell.Number(2e-9 * stage.MultiplyAdds / stage.Seconds, 1));
        return report;
    }

    /// <summary>A vocabulary of the model's size whose words mean nothing: specials, then the letter that the prompt repeats.</summary>
    private static byte[] PlaceholderVocabulary(GlipConfig config)
    {
        IEnumerable<string> tokens = new[] { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a" }
            .Concat(Enumerable.Range(6, config.Bert.VocabularySize - 6).Select(i => $"[unused{i}]"));
        return Encoding.UTF8.GetBytes(string.Join('\n', tokens));
    }
}
