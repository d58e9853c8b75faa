using System.CommandLine;
using System.Diagnostics;
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
        var tokens = NumberOption.Count("--tokens", "text tokens of one label, [CLS] and [SEP] included; default 11", 0);
        var prompt = new Option<string>("--prompt")
        {
            Description = "a sentence instead of --tokens, as glip detect takes it; every word and sign counts as one token",
            HelpName = "TEXT",
        };
        var labels = NumberOption.Count("--labels", "a list of so many labels of two words instead, as many as you like", 1);
        var repeat = NumberOption.Count("--repeat", "timed calls after one warm-up; default 5", 1);
        var cancel = NumberOption.Count("--cancel", "also cancel so many calls, at times spread evenly over one, and report the longest delay; default 0", 0);
        var machine = new MachineOptions();
        var format = new ReportOptions();
        var command = new Command("model", "time whole detections") { config, size, tokens, prompt, labels, repeat, cancel };
        machine.AddTo(command);
        format.AddTo(command);
        command.SetAction(parsed =>
        {
            GlipConfig model = ModelOptions.ParseConfig(parsed.GetRequiredValue(config));
            (int height, int width) = ModelOptions.ParseSize(parsed.GetRequiredValue(size));
            string? text = parsed.GetValue(prompt);
            BenchPrompt asked = (text, parsed.GetValue(tokens), parsed.GetValue(labels)) switch
            {
                ({ }, null, null) => BenchPrompt.OfText(model, text),
                (null, null, { } count) => BenchPrompt.OfLabels(count),
                (null, var length, null) => BenchPrompt.OfLength(model, length ?? DefaultTokens),
                _ => throw new UsageException("--prompt, --tokens and --labels exclude each other"),
            };
            Report report = Measure(
                model, height, width, asked, machine.Isa(parsed), machine.Threads(parsed),
                parsed.GetValue(repeat) ?? DefaultRepeat, parsed.GetValue(cancel) ?? 0);
            format.Write(report, parsed, output);
        });
        return command;
    }

    /// <summary>Times detections in alternation with the multiply-add ceiling.</summary>
    /// <param name="config">The model; its weights are made by formula.</param>
    /// <param name="height">Rows of the picture.</param>
    /// <param name="width">Columns of the picture.</param>
    /// <param name="asked">The sentence.</param>
    /// <param name="isa">Instruction set.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="repeat">Timed calls.</param>
    /// <param name="cancel">Calls to cancel.</param>
    /// <exception cref="ArgumentException">A picture that no model takes.</exception>
    public static Report Measure(GlipConfig config, int height, int width, BenchPrompt asked, SimdIsa isa, int threads, int repeat, int cancel = 0)
    {
        _ = ImageGeometry.Plan(height, width, 0, 0, config.SizeDivisibility); // refuses absurd sizes before anything is allocated
        using var detector = GlipDetector.Load(
            new ProceduralWeights(config, 1, asked.Vocabulary(config)), new GlipOptions { Isa = isa.Name(), Threads = threads });
        byte[] pixels = new byte[height * width * 3];
        new Random(1).NextBytes(pixels);
        Prompt prompt = asked.Prompt;
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

        // Profiles allocate and run the text encoder; calls without one find its output kept, and the second of them shows what repeated calls allocate.
        detector.Detect(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options);
        long before = GC.GetAllocatedBytesForCurrentThread(), began = Stopwatch.GetTimestamp();
        detector.Detect(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options);
        double repeated = Stopwatch.GetElapsedTime(began).TotalSeconds;
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        using Process process = Process.GetCurrentProcess();
        var report = new Report();
        report.Add("config", config.Name);
        report.Add("size", $"{height}x{width}");
        report.Add("tokens", asked.Tokens);
        report.Add("labels", prompt.Phrases.Count);
        report.Add("median_s", Cell.Number(KernelTimer.Median(seconds), 3));
        report.Add("min_s", Cell.Number(seconds.Min(), 3));
        report.Add("repeated_s", Cell.Number(repeated, 3));
        if (cancel > 0)
        {
            double[] delays =
            [
                .. Enumerable.Range(1, cancel).Select(i =>
                    CancellationDelay(token => detector.Detect(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompt, options, token), repeated * i / (cancel + 1))),
            ];
            report.Add("cancelled_s", Cell.Number(delays.Max(), 4));
        }

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

    /// <summary>Seconds from the moment that a call is cancelled to its end; 0 if it ended before.</summary>
    private static double CancellationDelay(Action<CancellationToken> call, double after)
    {
        using var source = new CancellationTokenSource();
        long cancelled = 0;
        using CancellationTokenRegistration note = source.Token.Register(() => Volatile.Write(ref cancelled, Stopwatch.GetTimestamp()));
        source.CancelAfter(TimeSpan.FromSeconds(after));
        try
        {
            call(source.Token);
            return 0;
        }
        catch (OperationCanceledException)
        {
            long end = Stopwatch.GetTimestamp();
            return Stopwatch.GetElapsedTime(Volatile.Read(ref cancelled), end).TotalSeconds;
        }
    }
}
