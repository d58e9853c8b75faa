using System.Text;
using Glip.Cli;

namespace Glip.Managed.Tests.Cli;

public class ProgressTests
{
    [Fact]
    public void Slow_work_is_named_while_it_runs()
    {
        using var error = new Watched("detecting");
        CommandContext context = Context(error) with { ShowsProgress = true, ProgressDelay = TimeSpan.Zero };

        // The work ends only when its name is on the screen.
        Assert.True(Progress.Run(context, "detecting", () => error.Seen.Wait(TimeSpan.FromMinutes(1))));
    }

    [Fact]
    public void Quick_work_is_silent()
    {
        using var error = new Watched("detecting");
        CommandContext context = Context(error) with { ShowsProgress = true, ProgressDelay = Timeout.InfiniteTimeSpan };

        Assert.Equal(7, Progress.Run(context, "detecting", () => 7));

        Assert.Empty(error.ToString());
    }

    [Fact]
    public void Without_a_terminal_nothing_is_shown()
    {
        using var error = new Watched("detecting");
        CommandContext context = Context(error) with { ProgressDelay = TimeSpan.Zero };

        Assert.False(Progress.Run(context, "detecting", () => error.Seen.IsSet));

        Assert.Empty(error.ToString());
    }

    [Fact]
    public void By_default_a_second_must_pass() => Assert.Equal(TimeSpan.FromSeconds(1), Context(TextWriter.Null).ProgressDelay);

    [Fact]
    public void Errors_come_through_unwrapped()
    {
        CommandContext context = Context(TextWriter.Null) with { ShowsProgress = true, ProgressDelay = Timeout.InfiniteTimeSpan };

        Assert.Throws<GlipFormatException>(() => Progress.Run<int>(context, "loading", () => throw new GlipFormatException("bad")));
        Assert.Throws<OperationCanceledException>(() => Progress.Run<int>(context, "loading", () => throw new OperationCanceledException()));
    }

    [Fact]
    public void Cancelled_work_does_not_begin()
    {
        CommandContext context = Context(TextWriter.Null) with { Cancellation = new CancellationToken(canceled: true) };

        Assert.Throws<OperationCanceledException>(() => Progress.Run<int>(context, "loading", () => throw new InvalidOperationException("it ran")));
    }

    private static CommandContext Context(TextWriter error) => new()
    {
        Out = TextWriter.Null,
        Error = error,
        WorkingFolder = "",
        OpenModel = (_, _) => throw new InvalidOperationException("no model is wanted"),
    };

    /// <summary>Text that tells when a word has been written.</summary>
    private sealed class Watched(string word) : TextWriter
    {
        private readonly StringBuilder _text = new();

        public ManualResetEventSlim Seen { get; } = new();

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value)
        {
            lock (_text)
            {
                _text.Append(value);
                if (_text.ToString().Contains(word, StringComparison.Ordinal))
                    Seen.Set();
            }
        }

        public override string ToString()
        {
            lock (_text)
                return _text.ToString();
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                Seen.Dispose();
            base.Dispose(disposing);
        }
    }
}
