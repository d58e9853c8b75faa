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
    // [CLS], a word, [SEP].
    private const int LeastTokens = 3;
    private const int DefaultTokens = 11;
    private const int DefaultRepeat = 5;

    // Before and after each call, long enough to meet whatever else wants the processor.
    private const double PeakSeconds = 0.2;

    public static Command Create(TextWriter output)
    {
        var config = new Option<string>("--config")
        {
            Description = $"{string.Join(", ", GlipConfig.PublishedNames)}",
            HelpName = "NAME",
            DefaultValueFactory = _ => "glip-t",
        };
        var size = new Option<string>("--size")
        {
            Description = "picture rows x columns, used without resizing",
            HelpName = "HxW",
            DefaultValueFactory = _ => "800x1216",
        };
        var tokens = NumberOption.Count("--tokens", "text tokens, [CLS] and [SEP] included; default 11", LeastTokens);
        var repeat = NumberOption.Count("--repeat", "timed calls after one warm-up; default 5", 1);
        var machine = new MachineOptions();
        var format = new ReportOptions();
        var command = new Command("model", "time whole detections") { config, size, tokens, repeat };
        machine.AddTo(command);
        format.AddTo(command);
        command.SetAction(parsed =>
        {
            GlipConfig model = ModelOptions.ParseConfig(parsed.GetRequiredValue(config));
            (int height, int width) = ModelOptions.ParseSize(parsed.GetRequiredValue(size));
            Report report = Measure(
                model, height, width, parsed.GetValue(tokens) ?? DefaultTokens, machine.Isa(parsed), machine.Threads(parsed),
                parsed.GetValue(repeat) ?? DefaultRepeat);
            format.Write(report, parsed, output);
        });
        return command;
    }

    /// <summary>Times detections in alternation with the multiply-add ceiling.</summary>
    /// <param name="config">The model; its weights are made by formula.</param>
    /// <param name="height">Rows of the picture.</param>
    /// <param name="width">Columns of the picture.</param>
    /// <param name="tokens">Text tokens, specials included.</param>
    /// <param name="isa">Instruction set.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="repeat">Timed calls.</param>
    /// <exception cref="UsageException">A number of tokens that the model does not read.</exception>
    /// <exception cref="ArgumentException">A picture that no model takes.</exception>
    public static Report Measure(GlipConfig config, int height, int width, int tokens, SimdIsa isa, int threads, int repeat)
    {
        if (tokens < LeastTokens || tokens > config.MaxQueryLength)
            throw new UsageException($"--tokens must be {LeastTokens} to {config.MaxQueryLength}, which is what {config.Name} reads, found {tokens}");
        _ = ImageGeometry.Plan(height, width, 0, 0, config.SizeDivisibility); // refuses absurd sizes before anything is allocated
        using var detector = GlipDetector.Load(
            new ProceduralWeights(config, 1, PlaceholderVocabulary(config)), new GlipOptions { Isa = isa.Name(), Threads = threads });
        byte[] pixels = new byte[height * width * 3];
        new Random(1).NextBytes(pixels);
        Prompt prompt = Prompt.FromSpans(string.Concat(Enumerable.Repeat("a ", tokens - 2)), [(0, 1)]);
        var options = new DetectOptions { MinSize = 0, MaxSize = 0, Threshold = 1 };

        // Plans, reserves memory and warms up.
        detector.Detect(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options);
        using var kernels = new KernelContext(isa, threads);
        var meter = new PeakMeter(kernels);
        var peaks = new List<double> { meter.Gflops(PeakSeconds) };
        var calls = new List<IReadOnlyList<StageCost>>();
        var seconds = new List<double>();
        for (int i = 0; i < repeat; i++)
        {
            long start = Stopwatch.GetTimestamp();
            calls.Add(detector.Profile(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options));
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            peaks.Add(meter.Gflops(PeakSeconds));
        }

        // Profiles allocate; a call without one shows what repeated calls do.
        long before = GC.GetAllocatedBytesForCurrentThread();
        detector.Detect(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        using Process process = Process.GetCurrentProcess();
        var report = new Report();
        report.Add("config", config.Name);
        report.Add("size", $"{height}x{width}");
        report.Add("tokens", tokens);
        report.Add("median_s", Cell.Number(KernelTimer.Median(seconds), 3));
        report.Add("min_s", Cell.Number(seconds.Min(), 3));
        report.Add("threads", detector.Threads);
        report.Add("isa", detector.Isa);
        report.Add("fma_gflops", Cell.Number(KernelTimer.Median(peaks), 1));
        report.Add("macs", calls[0].Sum(stage => stage.MultiplyAdds));
        report.Add("peak_rss_bytes", process.PeakWorkingSet64);
        report.Add("workspace_bytes", detector.WorkspaceBytes(height, width, prompt, options));
        report.Add("allocated_bytes", allocated);
        ReportTable table = report.AddTable("stages", "stage", "seconds", "macs", "gflop", "gflops", "peak_fraction", "bytes");
        for (int s = 0; s < calls[0].Count; s++)
        {
            (string name, _, long multiplyAdds, long bytes) = calls[0][s];
            double gflop = 2e-9 * multiplyAdds, median = KernelTimer.Median(calls.Select(call => call[s].Seconds));
            double fraction = KernelTimer.Median(calls.Select((call, i) => gflop / call[s].Seconds / ((peaks[i] + peaks[i + 1]) / 2)));

            // Parts without products have no rate.
            double rate = multiplyAdds > 0 ? gflop / median : double.NaN;
            table.Add(
                name, Cell.Number(median, 4), multiplyAdds, Cell.Number(gflop, 2), Cell.Number(rate, 1),
                Cell.Number(multiplyAdds > 0 ? fraction : double.NaN, 3), bytes);
        }

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
