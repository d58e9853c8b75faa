using System.CommandLine;
using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Text;

namespace Glip.Cli;

/// <summary><c>glip trace</c>: writes every stage of one detection, to be compared with another implementation's.</summary>
internal static class TraceCommand
{
    public static Command Create(CommandContext context)
    {
        var image = new Argument<string?>("IMAGE") { Description = $"{PictureFile.Description} Not with --case.", Arity = ArgumentArity.ZeroOrOne };
        var prompt = new Argument<string?>("PROMPT") { Description = "What to find. Not with --case.", Arity = ArgumentArity.ZeroOrOne };
        var caseFile = new Option<string?>("--case") { Description = "Golden case (JSON) that says picture, text and sizes.", HelpName = "CASE" };
        var output = new Option<string>("--out") { Description = "Safetensors file to write.", HelpName = "STAGES", Required = true };
        var shared = new DetectorOptions();
        var command = new Command("trace", "Writes the tensors of every stage, for comparison with other implementations.") { image, prompt, caseFile, output };
        shared.AddTo(command);
        command.SetAction(parsed =>
        {
            (int? minSize, int? maxSize) = (shared.MinSize(parsed), shared.MaxSize(parsed));
            TraceCase request = (parsed.GetValue(caseFile), parsed.GetValue(image), parsed.GetValue(prompt)) switch
            {
                ({ } path, null, null) when (minSize ?? maxSize) is null => TraceCase.Load(path),
                ({ }, null, null) => throw new UsageException("--min-size and --max-size do not go with --case, which says the size"),
                (null, { } picture, { } text) => new TraceCase(picture, Prompt.Parse(text), minSize, maxSize, InferenceThreshold: null),
                _ => throw new UsageException("expected either IMAGE and PROMPT or --case"),
            };
            return Run(context, request, shared.Model(parsed), shared.Machine(parsed), parsed.GetRequiredValue(output));
        });
        return command;
    }

    private static int Run(CommandContext context, TraceCase request, ModelReference model, GlipOptions machine, string outputPath)
    {
        InputPath.Check(request.ImagePath, "picture");
        model.CheckFiles();
        OutputPath.Check(outputPath, "trace", request.ImagePath, request.CasePath, model.Path, model.VocabularyPath);
        DecodedImage image = ImageFile.Read(request.ImagePath);
        using ILoadedModel detector = Progress.Run(context, "loading the model", () => context.OpenModel(model, machine));
        var stages = new StageFile();

        // As the original: results before the threshold of display, and long prompts are cut.
        var options = new DetectOptions { Threshold = 0, MinSize = request.MinSize, MaxSize = request.MaxSize, AllowTruncatedPrompt = true };
        _ = Progress.Run(context, "tracing", () =>
        {
            detector.Trace(image.View, request.Prompt, stages, options, request.InferenceThreshold, context.Cancellation);
            stages.Save(outputPath, new Dictionary<string, string>
            {
                ["model"] = detector.ModelName,
                ["isa"] = detector.Isa,
                ["prompt"] = request.Prompt.Caption,
            });
            return stages.Count;
        });
        context.Out.WriteLine($"wrote {outputPath}: {stages.Count} tensors");
        return GlipCommandLine.Success;
    }
}
