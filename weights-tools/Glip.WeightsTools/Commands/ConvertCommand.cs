using System.CommandLine;
using System.CommandLine.Invocation;
using System.Globalization;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools.Commands;

/// <summary><c>glip-weights convert SRC --out MODEL</c>: a checkpoint to a model file.</summary>
internal static class ConvertCommand
{
    private static readonly Dictionary<string, TensorType> s_types = new() { ["f32"] = TensorType.F32, ["f16"] = TensorType.F16, ["bf16"] = TensorType.BF16 };

    public static Command Create()
    {
        var source = new Argument<string>("SRC")
        {
            Description = "checkpoint: PyTorch (.pth) or safetensors, with the original's names or mmdetection's; or a model file, to be written anew",
        };
        var config = new Option<string?>("--config")
        {
            Description = $"published model ({string.Join(", ", GlipConfig.PublishedNames)}) or JSON file of sizes, where those that shapes decide may be missing. Default: what shapes say",
            HelpName = "NAME|FILE",
        };
        var vocabulary = new Option<string?>("--vocab")
        {
            Description = "WordPiece vocabulary that belongs to the checkpoint, one token a line. Needed unless SRC is a model file",
            HelpName = "FILE",
        };
        var target = new Option<string>("--out") { Description = "model file to write; an existing one is replaced", Required = true, HelpName = "MODEL" };
        var type = new Option<string>("--dtype") { Description = "precision of the stored weights: f32, f16, bf16", DefaultValueFactory = _ => "f32" };
        type.AcceptOnlyFromAmong([.. s_types.Keys]);
        var ema = new Option<bool>("--ema") { Description = "take the moving average of the weights (model_ema) instead of the weights" };
        var golden = new Option<string?>("--golden")
        {
            Description = "recording of stages (glip trace --out, or the original's): a few values of each go into the model file, for verify",
            HelpName = "TRACE",
        };
        var stripText = new Option<bool>("--strip-text") { Description = "leave the text encoder out: the model then serves the prompts of --prompts only" };
        var prompts = new Option<string?>("--prompts") { Description = "with --strip-text: text file with a prompt a line, or a prompt file", HelpName = "FILE" };
        var tunedText = new Option<string?>("--prompt") { Description = "text that a prompt-tuned checkpoint was tuned with; goes with --prompt-out", HelpName = "TEXT" };
        var tunedPath = new Option<string?>("--prompt-out") { Description = "prompt file to write, for glip detect --prompt-file", HelpName = "FILE" };
        var ignoreChecksums = new Option<bool>("--ignore-checksums") { Description = "read storages whose checksum in the archive is wrong" };

        var command = new Command("convert", "Makes a model file from a checkpoint.") { source, config, vocabulary, target, type, ema, golden, stripText, prompts, tunedText, tunedPath, ignoreChecksums };
        command.Validators.Add(result =>
        {
            if (result.GetValue(stripText) != result.GetValue(prompts) is not null)
                result.AddError("--strip-text and --prompts go together");
            if (result.GetValue(tunedText) is null != result.GetValue(tunedPath) is null)
                result.AddError("--prompt and --prompt-out go together");
        });
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Convert(
                new ConversionRequest
                {
                    Source = parsed.GetRequiredValue(source),
                    Target = parsed.GetRequiredValue(target),
                    VocabularyPath = parsed.GetValue(vocabulary),
                    StoredPromptsPath = parsed.GetValue(prompts),
                    TunedText = parsed.GetValue(tunedText),
                    TunedPromptPath = parsed.GetValue(tunedPath),
                    GoldenPath = parsed.GetValue(golden),
                    Type = s_types[parsed.GetRequiredValue(type)],
                    Reading = new TensorFileOptions { UseEma = parsed.GetValue(ema), IgnoreChecksums = parsed.GetValue(ignoreChecksums) },
                },
                parsed.GetValue(config),
                parsed.InvocationConfiguration,
                cancellation),
            cancellation));
        return command;
    }

    private static int Convert(ConversionRequest request, string? config, InvocationConfiguration streams, CancellationToken cancellation)
    {
        if (Path.GetFullPath(request.Source) == Path.GetFullPath(request.Target))
            throw new UsageException("--out is the checkpoint itself");
        if (request.TunedPromptPath is not null && new[] { request.Source, request.Target }.Any(p => Path.GetFullPath(p) == Path.GetFullPath(request.TunedPromptPath)))
            throw new UsageException("--prompt-out is the checkpoint or the model file");

        if (config is not null && GlipConfig.PublishedNames.Contains(config))
        {
            request = request with { Config = GlipConfig.Published(config) };
        }
        else if (config is not null && !File.Exists(config))
        {
            throw new UsageException($"--config '{config}' is neither a file nor one of {string.Join(", ", GlipConfig.PublishedNames)}");
        }
        else
        {
            request = request with { ConfigPath = config };
        }

        Print(CheckpointConverter.Convert(request, cancellation), request, streams.Output);
        return WeightsCommandLine.Done;
    }

    private static void Print(ConversionReport report, ConversionRequest request, TextWriter output)
    {
        long bytes = new FileInfo(request.Target).Length;
        output.WriteLine($"read {request.Source}: {report.SourceKind}, configuration {DisplayText.Quote(report.Config.Name)}");
        output.WriteLine($"wrote {request.Target}: {report.Tensors} tensors, {request.Type.SafetensorsName()}, {DisplayText.Bytes(bytes)}");
        if (report.MostChangedTensor is not null)
        {
            string change = report.LargestChange.ToString("0.0e+0", CultureInfo.InvariantCulture);
            output.WriteLine($"rounding changed no value by more than {change} of its tensor's largest ({report.MostChangedTensor})");
        }

        if (report.StoredPrompts > 0)
            output.WriteLine($"without text encoder, with {report.StoredPrompts} stored prompts");
        if (request.TunedPromptPath is not null)
            output.WriteLine($"wrote {request.TunedPromptPath}: the tuned prompt, {DisplayText.Bytes(new FileInfo(request.TunedPromptPath).Length)}");
        if (report.LeavesTuningOut)
            output.WriteLine($"note: left out the tuned prompt '{CheckpointConverter.TunedRows}'; to keep it, give its text: --prompt TEXT --prompt-out FILE");
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
