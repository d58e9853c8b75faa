using System.CommandLine;
using System.Diagnostics;
using Glip.Harness.Measuring;
using Glip.Harness.Reports;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Imaging;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Harness.Commands;

/// <summary>Loads a model file and detects in pictures of mixed sizes with mixed prompts, and says how long loading took and what memory all that needs.</summary>
internal static class MemoryCommand
{
    private const int DefaultCalls = 10;

    public static Command Create(TextWriter output)
    {
        var model = new Option<string?>("--model") { Description = "model file, packed or not; default: the model that comes with the library", HelpName = "FILE" };
        var config = new Option<string?>("--config") { Description = "a published configuration with weights by formula instead of --model", HelpName = "NAME" };
        var size = new Option<string[]>("--size")
        {
            Description = "picture rows x columns, used without resizing; may be repeated, calls take them in turn",
            HelpName = "HxW",
            DefaultValueFactory = _ => ["240x320", "200x300", "320x240", "96x400"],
        };
        var prompt = new Option<string[]>("--prompt")
        {
            Description = "sentence, as of glip detect; may be repeated, calls take them in turn",
            HelpName = "TEXT",
            DefaultValueFactory = _ => ["dog . cat .", "pizza .", "red apple . bicycle . sailboat . sunflower .", "tree", "car . bus . train ."],
        };
        var calls = NumberOption.Count("--calls", $"detections; default {DefaultCalls}", 1);
        var widen = new Option<bool>("--widen") { Description = "keep half-size weights in single precision" };
        var machine = new MachineOptions();
        var format = new ReportOptions();
        var command = new Command("memory", "load a model, detect in mixed pictures with mixed prompts, and show time and memory") { model, config, size, prompt, calls, widen };
        machine.AddTo(command);
        format.AddTo(command);
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(model) is not null && parsed.GetValue(config) is not null)
                throw new UsageException("--model and --config exclude each other");
            var options = new GlipOptions { Isa = machine.Isa(parsed).Name(), Threads = machine.Threads(parsed), WidenWeights = parsed.GetValue(widen) };
            (int Height, int Width)[] sizes = [.. parsed.GetRequiredValue(size).Select(ModelOptions.ParseSize)];
            string[] prompts = parsed.GetRequiredValue(prompt);
            Report report = Measure(
                () => Load(parsed.GetValue(model), parsed.GetValue(config), prompts, options), sizes, [.. prompts.Select(Prompt.Parse)], parsed.GetValue(calls) ?? DefaultCalls);
            format.Write(report, parsed, output);
        });
        return command;
    }

    private static GlipDetector Load(string? path, string? config, string[] prompts, GlipOptions options)
    {
        if (config is null)
            return path is null ? GlipDetector.LoadDefault(options) : GlipDetector.Load(path, options);
        var published = ModelOptions.ParseConfig(config);
        return GlipDetector.Load(new ProceduralWeights(published, 1, BenchPrompt.OfText(published, string.Join(" . ", prompts)).Vocabulary(published)), options);
    }

    private static Report Measure(Func<GlipDetector> load, (int Height, int Width)[] sizes, Prompt[] prompts, int calls)
    {
        ProcessMemory before = ProcessMemory.Now();
        long start = Stopwatch.GetTimestamp();
        using GlipDetector detector = load();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        ProcessMemory loaded = ProcessMemory.Now();

        var report = new Report();
        report.Add("model", detector.ModelName);
        report.Add("isa", detector.Isa);
        report.Add("threads", detector.Threads);
        report.Add("load_s", Cell.Number(seconds, 3));
        report.Add("mapped_bytes", detector.Weights.Mapped);
        report.Add("private_bytes", detector.Weights.Private);
        report.Add("vector_bytes", detector.Weights.Vectors);
        ReportTable table = report.AddTable("moments", "after", "size", "seconds", "rss_bytes", "anonymous_bytes", "file_bytes", "peak_bytes", "heap_bytes");
        Add(table, "start", "", double.NaN, before);
        Add(table, "load", "", seconds, loaded);
        byte[] pixels = new byte[sizes.Max(s => s.Height * s.Width) * 3];
        new Random(1).NextBytes(pixels);
        var options = new DetectOptions { MinSize = 0, MaxSize = 0 };
        for (int call = 1, shown = 1; call <= calls; call++)
        {
            (int height, int width) = sizes[call % sizes.Length];
            start = Stopwatch.GetTimestamp();
            detector.Detect(new ImageView(pixels, width, height, PixelFormat.Rgb24), prompts[call % prompts.Length], options);
            seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (call != shown && call != calls)
                continue;
            Add(table, $"call {call}", $"{height}x{width}", seconds, ProcessMemory.Now());
            shown *= 2;
        }

        return report;
    }

    private static void Add(ReportTable table, string after, string size, double seconds, ProcessMemory memory) => table.Add(
        after, size, Cell.Number(seconds, 3), memory.Resident, memory.Anonymous, memory.Files, memory.Peak, memory.Managed);
}
