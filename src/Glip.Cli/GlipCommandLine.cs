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

    /// <summary>The options behind those parameters of the library that users can be wrong about.</summary>
    private static readonly Dictionary<string, string> _optionsOf = new() { ["minSize"] = " (see --min-size and --max-size)" };

    public static int Run(IReadOnlyList<string> args, CommandContext context)
    {
        var root = new RootCommand("Finds the objects that a text names in a picture (GLIP, Li et al., CVPR 2022).")
        {
            DetectCommand.Create(context),
            DecodeCommand.Create(context),
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
            return Report(WrongUsage, ForUsers(e));
        }
        catch (Exception e) when (e is GlipFormatException or IOException or UnauthorizedAccessException or PlatformNotSupportedException or InsufficientMemoryException)
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

    /// <summary>The message in the command's terms: its options instead of the library's parameters and properties.</summary>
    private static string ForUsers(Exception e)
    {
        string message = e.Message;
        string option = "";
        if (e is ArgumentException { ParamName: { Length: > 0 } name })
        {
            message = UpTo(message, $" (Parameter '{name}')");
            option = _optionsOf.GetValueOrDefault(name, "");
        }

        // A way out that only programs have comes last.
        return UpTo(message, $", or set {nameof(DetectOptions)}.") + option;

        static string UpTo(string text, string end) => text.IndexOf(end, StringComparison.Ordinal) is >= 0 and var at ? text[..at] : text;
    }
}
