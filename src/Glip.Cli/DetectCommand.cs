using System.CommandLine;
using System.Text;
using Glip.Managed;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Imaging.Drawing;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Cli;

/// <summary><c>glip detect IMAGE PROMPT</c>: finds objects, prints them, draws them, cuts them out.</summary>
internal static class DetectCommand
{
    private const string StandardOutput = "-";

    public static Command Create(CommandContext context)
    {
        var image = new Argument<string>("IMAGE") { Description = PictureFile.Description };
        var prompt = new Argument<string?>("PROMPT")
        {
            Description = "What to find: phrases separated by ' . ', as in \"person . red car .\" Not with --prompt-file or --labels.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var promptFile = new Option<string?>("--prompt-file") { Description = "A tuned prompt that goes with the model (glip-weights convert --prompt-out).", HelpName = "FILE" };
        var labels = new Option<string?>("--labels") { Description = "What to find: a text file with one name a line, as many as you like.", HelpName = "FILE" };
        Option<float?> threshold = NumberOption.Fraction("--threshold", "Lowest score to report, 0 to 1. Default: the model's.");
        var json = new Option<string?>("--json") { Description = "Write the detections as JSON to this file, or to standard output if it is -.", HelpName = "PATH" };
        var output = new Option<string?>("--output")
        {
            Description = "Write the annotated picture to this file, .png or .jpg. Default, without --json: IMAGE.detections.png in the current folder.",
            HelpName = "FILE",
        };
        var crops = new Option<string?>("--crops")
        {
            Description = "Write what each box holds to a PNG file of its own in this folder, which is made if it does not exist.",
            HelpName = "DIR",
        };
        var shared = new DetectorOptions();
        var command = new Command("detect", "Finds objects, prints a table and draws them on the picture.") { image, prompt, promptFile, labels, threshold, json, output, crops };
        shared.AddTo(command);
        command.SetAction(parsed => Run(
            context,
            new Request(
                parsed.GetRequiredValue(image),
                (parsed.GetValue(prompt), parsed.GetValue(promptFile), parsed.GetValue(labels)) switch
                {
                    ({ } text, null, null) => new PromptSource(text, null, IsList: false),
                    (null, { } path, null) => new PromptSource(null, path, IsList: false),
                    (null, null, { } path) => new PromptSource(null, path, IsList: true),
                    _ => throw new UsageException("expected one of PROMPT, --prompt-file and --labels"),
                },
                parsed.GetValue(json),
                parsed.GetValue(output),
                parsed.GetValue(crops),
                shared.Model(parsed),
                shared.Machine(parsed),
                new DetectOptions { Threshold = parsed.GetValue(threshold), MinSize = shared.MinSize(parsed), MaxSize = shared.MaxSize(parsed) })));
        return command;
    }

    private static int Run(CommandContext context, Request request)
    {
        string? picturePath = request.OutputPath ?? (request.JsonPath is null ? DefaultPicture(context, request.ImagePath) : null);
        CheckPaths(request, picturePath);
        Prompt prompt = request.Prompt.Read();
        DecodedImage image = ImageFile.Read(request.ImagePath);
        using ILoadedModel detector = Progress.Run(context, "loading the model", () => context.OpenModel(request.Model, request.Machine));
        IReadOnlyList<Detection> detections = Progress.Run(
            context, "detecting", () => detector.Detect(image.View, prompt, request.Options, context.Cancellation));

        if (picturePath is not null)
            PictureFile.Write(picturePath, DetectionPainter.Paint(image.View, detections).View);
        if (request.CropFolder is not null)
            CropFolder.Write(request.CropFolder, Path.GetFileNameWithoutExtension(request.ImagePath), image.View, detections);
        if (request.JsonPath is not null)
        {
            byte[] json = DetectionReport.ToJson(image.Width, image.Height, detector.ModelName, prompt.Caption, detections);
            if (request.JsonPath == StandardOutput)
                context.Out.WriteLine(Encoding.UTF8.GetString(json));
            else
                WriteFile(request.JsonPath, json);
        }

        // With --json - the standard output is the JSON and nothing else.
        TextWriter messages = request.JsonPath == StandardOutput ? context.Error : context.Out;
        if (request.JsonPath != StandardOutput)
            DetectionReport.WriteTable(context.Out, detections);
        if (request.JsonPath is not null and not StandardOutput)
            messages.WriteLine($"wrote {request.JsonPath}");
        if (picturePath is not null)
            messages.WriteLine($"wrote {request.OutputPath ?? Path.GetFileName(picturePath)}");
        if (request.CropFolder is not null)
            messages.WriteLine($"wrote {detections.Count} {(detections.Count == 1 ? "crop" : "crops")} to {request.CropFolder}");
        return GlipCommandLine.Success;
    }

    private static string DefaultPicture(CommandContext context, string imagePath) =>
        Path.Combine(context.WorkingFolder, $"{Path.GetFileNameWithoutExtension(imagePath)}.detections.png");

    /// <summary>Refuses what would destroy an input or surprise, before any work.</summary>
    private static void CheckPaths(Request request, string? picturePath)
    {
        InputPath.Check(request.ImagePath, "picture");
        InputPath.Check(request.Prompt.Path, request.Prompt.IsList ? "list of labels" : "prompt");
        request.Model.CheckFiles();
        if (picturePath is not null)
            PictureFile.CheckExtension(picturePath, "--output", ".png", ".jpg", ".jpeg");
        string? jsonPath = request.JsonPath == StandardOutput ? null : request.JsonPath;
        if (picturePath is not null && jsonPath is { Length: > 0 } && OutputPath.AreSame(picturePath, jsonPath))
            throw new UsageException($"--output and --json name the same file: {jsonPath}");

        string?[] inputs = [request.ImagePath, request.Prompt.Path, request.Model.Path, request.Model.VocabularyPath];
        if (picturePath is not null)
            OutputPath.Check(picturePath, "annotated picture", inputs);
        if (jsonPath is not null)
            OutputPath.Check(jsonPath, "JSON", inputs);
        if (request.CropFolder is not null)
            CropFolder.Check(request.CropFolder, Path.GetFileNameWithoutExtension(request.ImagePath));
    }

    private static void WriteFile(string path, ReadOnlySpan<byte> bytes)
    {
        using var output = new OutputFile(path);
        output.Stream.Write(bytes);
        output.Commit();
    }

    /// <summary>What to find: a text, or a file of one kind or the other.</summary>
    private sealed record PromptSource(string? Text, string? Path, bool IsList)
    {
        public Prompt Read() => Path is null ? Prompt.Parse(Text!) : IsList ? LabelFile.Read(Path) : PromptFile.Read(Path);
    }

    private sealed record Request(
        string ImagePath,
        PromptSource Prompt,
        string? JsonPath,
        string? OutputPath,
        string? CropFolder,
        ModelReference Model,
        GlipOptions Machine,
        DetectOptions Options);
}
