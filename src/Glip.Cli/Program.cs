using System.Text;
using Glip.Cli;

using var cancellation = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    // The first Ctrl-C asks the command to stop and clean up; a second one ends the process.
    e.Cancel = !cancellation.IsCancellationRequested;
    cancellation.Cancel();
};

// A pipe or file gets UTF-8 whatever the console's encoding is.
using TextWriter output = Console.IsOutputRedirected
    ? new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false)) { AutoFlush = true }
    : Console.Out;
var context = new CommandContext
{
    Out = output,
    Error = Console.Error,
    ShowsProgress = !Console.IsErrorRedirected,
    WorkingFolder = Environment.CurrentDirectory,
    OpenModel = LoadedModel.Open,
    Cancellation = cancellation.Token,
};
return GlipCommandLine.Run(args, context);
