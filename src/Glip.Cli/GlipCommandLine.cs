using System.CommandLine;
using System.CommandLine.Invocation;
using Glip.Managed;

namespace Glip.Cli;

/// <summary>The command <c>glip</c>: parses, runs, and turns every outcome into an exit code and at most one line on the error stream.</summary>
internal static class GlipCommandLine
{
    public const int Success = 0;
    public const int Failure = 1;
    public const int WrongUsage = 2;

    public static int Run(IReadOnlyList<string> args, CommandContext context)
    {
        var root = new RootCommand("Finds the objects that a text names in a picture (GLIP, Li et al., CVPR 2022).")
        {
            DetectCommand.Create(context),
            InspectCommand.Create(context),
            TraceCommand.Create(context),
        };

        // A prompt may begin with @, which would be read as the name of a file with arguments.
        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Action is ParseErrorAction)
            return Report(WrongUsage, $"{string.Join("; ", parsed.Errors.Select(e => e.Message.TrimEnd('.')))} (see {CommandPath(parsed)} --help)");
        try
        {
            return parsed.Invoke(new InvocationConfiguration { Output = context.Out, Error = context.Error, EnableDefaultExceptionHandler = false });
        }
        catch (OperationCanceledException)
        {
            return Report(Failure, "cancelled");
        }
        catch (Exception e) when (e is UsageException or ArgumentException)
        {
            return Report(WrongUsage, WithoutParameterName(e));
        }
        catch (Exception e) when (e is GlipFormatException or IOException or UnauthorizedAccessException or PlatformNotSupportedException)
        {
            return Report(Failure, e.Message);
        }
        catch (OutOfMemoryException)
        {
            return Report(Failure, "out of memory: set a smaller --min-size or --max-size");
        }
        catch (Exception e)
        {
            return Report(Failure, $"unexpected {e.GetType().Name}: {e.Message}");
        }

        int Report(int code, string message)
        {
            context.Error.WriteLine($"glip: {message.ReplaceLineEndings(" ")}");
            return code;
        }
    }

    private static string CommandPath(ParseResult parsed) =>
        parsed.CommandResult.Command is RootCommand ? "glip" : $"glip {parsed.CommandResult.Command.Name}";

    /// <summary>The message without the method parameter's name, which means nothing to users of the command.</summary>
    private static string WithoutParameterName(Exception e) =>
        e is ArgumentException { ParamName: { Length: > 0 } name } ? e.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal) : e.Message;
}
