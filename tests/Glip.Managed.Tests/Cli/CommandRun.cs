using Glip.Cli;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Managed.Tests.Cli;

/// <summary>Runs commands in this process, in a folder of their own that holds a small picture, with <see cref="FakeSession"/> as the model.</summary>
internal sealed class CommandRun : IDisposable
{
    public CommandRun()
    {
        ImageFile.WritePng(File("cat.png"), new ImageView(new byte[40 * 30], 40, 30, PixelFormat.Gray8));
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("glip-cli").FullName;

    public FakeSession Session { get; init; } = new();

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
            OpenDetector = (model, options) =>
            {
                Loaded = (model, options);
                return Session;
            },
        });
        (Out, Error) = (output.ToString(), error.ToString());
        return code;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
