using Glip.Managed;

namespace Glip.Cli;

/// <summary>What a command touches besides files, so that tests can run commands in their own process.</summary>
internal sealed record CommandContext
{
    /// <summary>Results.</summary>
    public required TextWriter Out { get; init; }

    /// <summary>Errors and progress.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>Whether somebody watches <see cref="Error"/> on a terminal.</summary>
    public bool ShowsProgress { get; init; }

    /// <summary>How long a step may take before the terminal says what it is doing.</summary>
    public TimeSpan ProgressDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Where the annotated picture goes if no name is given.</summary>
    public required string WorkingFolder { get; init; }

    /// <summary>Loads a model.</summary>
    public required Func<ModelReference, GlipOptions, ILoadedModel> OpenModel { get; init; }

    /// <summary>Signalled by Ctrl-C.</summary>
    public CancellationToken Cancellation { get; init; }
}
