using System.CommandLine;
using System.CommandLine.Invocation;
using System.Globalization;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;

namespace Glip.WeightsTools;

/// <summary>
/// The command <c>glip-weights</c>. Exit codes: 0 done, 1 failed (one line on the error stream), 2 wrong usage, 130 interrupted.
/// </summary>
internal static class WeightsCommandLine
{
    private const int Done = 0;
    private const int Failed = 1;
    private const int WrongUsage = 2;
    private const int Interrupted = 130;

    /// <summary>Runs the command with the given streams.</summary>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error)
    {
        var root = new RootCommand("Makes GLIP model files from checkpoints of the original, and shows what they hold.")
        {
            ConvertCommand(),
            InspectCommand(),
        };
        ParseResult parsed = root.Parse(args);
        var streams = new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false };
        try
        {
            int code = await parsed.InvokeAsync(streams);
            return parsed.Action is ParseErrorAction ? WrongUsage : code;
        }
        catch (Exception e) when (e is GlipFormatException or IOException or UnauthorizedAccessException)
        {
            error.WriteLine($"glip-weights: {e.Message}");
            return Failed;
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("glip-weights: interrupted, nothing was written");
            return Interrupted;
        }
    }

    private static Command ConvertCommand()
    {
        var source = new Argument<string>("SRC") { Description = "PyTorch checkpoint (.pth) in the original's layout" };
        var config = new Option<string>("--config")
        {
            Description = $"JSON file of the model's sizes, or a published model: {string.Join(", ", GlipConfig.PublishedNames)}",
            Required = true,
        };
        var vocabulary = new Option<string>("--vocab")
        {
            Description = "WordPiece vocabulary that belongs to the checkpoint, one token a line",
            Required = true,
        };
        var target = new Option<string>("--out") { Description = "model file to write; an existing one is replaced", Required = true };
        var type = new Option<string>("--dtype") { Description = "precision of the stored weights", DefaultValueFactory = _ => "f32" };
        type.AcceptOnlyFromAmong("f32", "f16");

        var command = new Command("convert", "Makes a model file from a checkpoint.") { source, config, vocabulary, target, type };
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Convert(
                parsed.GetRequiredValue(source),
                parsed.GetRequiredValue(config),
                parsed.GetRequiredValue(vocabulary),
                parsed.GetRequiredValue(target),
                parsed.GetRequiredValue(type) == "f16" ? TensorType.F16 : TensorType.F32,
                parsed.InvocationConfiguration,
                cancellation),
            cancellation));
        return command;
    }

    private static Command InspectCommand()
    {
        var file = new Argument<string>("MODEL") { Description = "GLIP model file (.safetensors)" };
        var command = new Command("inspect", "Shows what a model file holds.") { file };
        command.SetAction(parsed =>
        {
            using ModelFile model = ModelFile.Open(parsed.GetRequiredValue(file));
            ModelSummary.Of(model).WriteTo(parsed.InvocationConfiguration.Output);
            return Done;
        });
        return command;
    }

    private static int Convert(
        string source,
        string configName,
        string vocabulary,
        string target,
        TensorType type,
        InvocationConfiguration streams,
        CancellationToken cancellation)
    {
        if (Path.GetFullPath(source) == Path.GetFullPath(target))
        {
            streams.Error.WriteLine("glip-weights: --out is the checkpoint itself");
            return WrongUsage;
        }

        GlipConfig config;
        if (GlipConfig.PublishedNames.Contains(configName))
        {
            config = GlipConfig.Published(configName);
        }
        else if (File.Exists(configName))
        {
            config = GlipConfig.Parse(File.ReadAllBytes(configName), configName);
        }
        else
        {
            string published = string.Join(", ", GlipConfig.PublishedNames);
            streams.Error.WriteLine($"glip-weights: --config '{configName}' is neither a file nor one of {published}");
            return WrongUsage;
        }

        ConversionReport report = CheckpointConverter.Convert(source, config, vocabulary, target, type, cancellation);
        Print(report, target, type, streams.Output);
        return Done;
    }

    private static void Print(ConversionReport report, string target, TensorType type, TextWriter output)
    {
        long bytes = new FileInfo(target).Length;
        output.WriteLine($"wrote {target}: {report.Tensors} tensors, {type.SafetensorsName()}, {DisplayText.Bytes(bytes)}");
        if (report.MostChangedTensor is not null)
        {
            string change = report.LargestChange.ToString("0.0e+0", CultureInfo.InvariantCulture);
            output.WriteLine($"rounding changed no value by more than {change} of its tensor's largest ({report.MostChangedTensor})");
        }

        if (report.SpareEmbeddings > 0)
            output.WriteLine($"note: {report.SpareEmbeddings} word embeddings have no token in the vocabulary; is it the checkpoint's own?");
        if (report.SkippedSections.Count > 0)
            output.WriteLine($"not read: {string.Join(", ", report.SkippedSections.Select(DisplayText.Quote))}");
        if (report.Unneeded.Count > 0)
            output.WriteLine($"left out, not needed: {string.Join(", ", report.Unneeded.Select(u => $"{u.Count} {u.Kind}"))}");
        foreach (string name in report.Unknown)
            output.WriteLine($"left out, unknown: {DisplayText.Quote(name)}");
    }
}
