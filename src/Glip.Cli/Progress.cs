using Spectre.Console;

namespace Glip.Cli;

/// <summary>Says on a terminal what a long step is doing, and nothing anywhere else.</summary>
internal static class Progress
{
    /// <summary>Runs <paramref name="work"/> with <paramref name="what"/> and a spinner on the error stream.</summary>
    public static T Run<T>(CommandContext context, string what, Func<T> work)
    {
        context.Cancellation.ThrowIfCancellationRequested();
        if (!context.ShowsProgress)
            return work();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Error) });
        return console.Status().Start(Markup.Escape(what), _ => work());
    }
}
