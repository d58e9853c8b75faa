using Glip.Cli;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Managed.Tests.Cli;

/// <summary>Runs commands in this process, in a folder of their own that holds a small picture, with <see cref="FakeModel"/> or a real model.</summary>
internal sealed class CommandRun : IDisposable
{
    public CommandRun()
    {
        ImageFile.WritePng(File("cat.png"), new ImageView(new byte[40 * 30], 40, 30, PixelFormat.Gray8));
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("glip-cli").FullName;

    public FakeModel Fake { get; init; } = new();

    /// <summary>True to load the models that the command names, as the program does.</summary>
    public bool LoadsModels { get; init; }

    public CancellationToken Cancellation { get; init; }

    /// <summary>What the last run loaded; null if it did not get that far.</summary>
    public (ModelReference Model, GlipOptions Options)? Loaded { get; private set; }

    public string Out { get; private set; } = "";

    public string Error { get; private set; } = "";

    public string File(string name) => Path.Combine(Folder, name);

    public int Run(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int code = GlipCommandLine.Run(args, new CommandContext
        {
            Out = output,
            Error = error,
            WorkingFolder = Folder,
            Cancellation = Cancellation,
            OpenModel = (model, options) =>
            {
                Loaded = (model, options);
                return LoadsModels ? LoadedModel.Open(model, options) : Fake;
            },
        });
        (Out, Error) = (output.ToString(), error.ToString());
        return code;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
