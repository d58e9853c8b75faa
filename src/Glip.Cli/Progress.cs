using Spectre.Console;

namespace Glip.Cli;

/// <summary>Says on a terminal what a long step is doing, and nothing anywhere else.</summary>
internal static class Progress
{
    /// <summary>Runs <paramref name="work"/>; if it takes longer than <see cref="CommandContext.ProgressDelay"/>, shows <paramref name="what"/> and a spinner on the error stream.</summary>
    public static T Run<T>(CommandContext context, string what, Func<T> work)
    {
        context.Cancellation.ThrowIfCancellationRequested();
        if (!context.ShowsProgress)
            return work();

        // The work runs aside, so that this thread can wait for the delay to pass or the work to end, whichever comes first.
        Task<T> running = Task.Run(work);
        if (Task.WaitAny([running], context.ProgressDelay) < 0)
        {
            IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Error) });
            console.Status().Start(Markup.Escape(what), _ => Task.WaitAny(running));
        }

        return running.GetAwaiter().GetResult();
    }
}
