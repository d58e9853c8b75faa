using System.CommandLine;
using Glip.Harness.Measuring;
using Glip.Harness.Reports;
using Glip.Harness.Shapes;
using Glip.Kernels;

namespace Glip.Harness.Commands;

/// <summary>Times one kernel, or one of several kinds, at given shapes or at all that the models have of it.</summary>
internal static class KernelCommand
{
    /// <summary>A command.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">For help.</param>
    /// <param name="kinds">What it times. More than one are told apart by <c>--kind</c>, and shapes are of the first kind without it.</param>
    /// <param name="output">Receives the report.</param>
    public static Command Create(string name, string description, KernelKind[] kinds, TextWriter output)
    {
        string names = string.Join(", ", kinds.Select(k => k.Name));
        var shape = new Option<string[]>("--shape")
        {
            Description = $"{string.Join("; ", kinds.Select(k => $"{(kinds.Length > 1 ? k.Name + ": " : "")}{k.Dimensions}"))}; may be given several times. "
                + "Default: the models' own shapes.",
            HelpName = "SHAPE",
            DefaultValueFactory = _ => [],
        };
        var kind = new Option<string?>("--kind") { Description = $"{names}; default all, for --shape {kinds[0].Name}", HelpName = "KIND" };
        var repeat = NumberOption.Count("--repeat", "timed samples of each shape; default: a third of a second's worth, at least 7", 1);
        ShapeModifier[] modifiers = [.. kinds.SelectMany(k => k.Modifiers).DistinctBy(m => m.Name)];
        Option<int?>[] numbers = [.. modifiers.Select(m => NumberOption.Count($"--{m.Name}", $"for shapes without {m.Letter}: {m.Description}", 0))];
        var models = new ModelOptions();
        var machine = new MachineOptions();
        var format = new ReportOptions();

        var command = new Command(name, description) { shape };
        if (kinds.Length > 1)
            command.Options.Add(kind);
        foreach (Option<int?> number in numbers)
            command.Options.Add(number);
        command.Options.Add(repeat);
        models.AddTo(command);
        machine.AddTo(command);
        format.AddTo(command);
        command.SetAction(parsed =>
        {
            KernelKind[] wanted = parsed.GetValue(kind) is { } only
                ? [kinds.FirstOrDefault(k => k.Name == only) ?? throw new UsageException($"--kind must be one of {names}, found '{only}'")]
                : kinds;
            var defaults = modifiers.Zip(numbers).Where(pair => parsed.GetValue(pair.Second) is not null)
                .ToDictionary(pair => pair.First.Letter, pair => parsed.GetValue(pair.Second)!.Value);
            string[] texts = parsed.GetRequiredValue(shape);
            KernelShape[] shapes = texts.Length > 0
                ? [.. texts.Select(text => wanted[0].Parse(text, defaults))]
                : [.. models.Shapes(parsed).SelectMany(model => model.Uses).Select(use => use.Shape).Where(s => wanted.Contains(s.Kind)).Distinct()];
            format.Write(Run(shapes, machine.Isa(parsed), machine.Threads(parsed), parsed.GetValue(repeat)), parsed, output);
        });
        return command;
    }

    private static Report Run(KernelShape[] shapes, SimdIsa isa, int threads, int? samples)
    {
        using var context = new KernelContext(isa, threads);
        var timer = new KernelTimer(context);
        var report = new Report();
        ReportTable rows = report.AddTable("rows", "kernel", "shape", "isa", "threads", "median_ms", "gflops", "peak_fraction");
        foreach (KernelShape shape in shapes)
        {
            KernelTiming timing = timer.Measure(shape.Prepare(context), shape.MultiplyAdds, samples);
            rows.Add(
                shape.Kind.Name, shape.Text, isa.Name(), threads,
                Cell.Number(1e3 * timing.MedianSeconds, 3), Cell.Number(timing.Gflops, 1), Cell.Number(timing.PeakFraction, 3));

            // Buffers of hundreds of megabytes would otherwise pile up.
            GC.Collect();
        }

        return report;
    }
}
