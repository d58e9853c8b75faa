using System.CommandLine;
using System.CommandLine.Invocation;
using Glip.Managed;
using Glip.WeightsTools.Commands;

namespace Glip.WeightsTools;

/// <summary>
/// The command <c>glip-weights</c>. Exit codes: 0 done, 1 failed (one line on the error stream), 2 wrong usage, 130 interrupted.
/// </summary>
internal static class WeightsCommandLine
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int WrongUsage = 2;
    private const int Interrupted = 130;

    /// <summary>Runs the command with the given streams.</summary>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error)
    {
        var root = new RootCommand("Makes GLIP model files from checkpoints of the original, and shows what they hold.")
        {
            ConvertCommand.Create(),
            InspectCommand.Create(),
            DiffCommand.Create(),
            VerifyCommand.Create(),
            PackCommand.Create(),
        };
        ParseResult parsed = root.Parse(args);
        var streams = new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false };
        try
        {
            int code = await parsed.InvokeAsync(streams);
            return parsed.Action is ParseErrorAction ? WrongUsage : code;
        }
        catch (UsageException e)
        {
            error.WriteLine($"glip-weights: {e.Message.ReplaceLineEndings(" ")}");
            return WrongUsage;
        }
        catch (Exception e) when (e is GlipFormatException or IOException or UnauthorizedAccessException)
        {
            error.WriteLine($"glip-weights: {e.Message.ReplaceLineEndings(" ")}");
            return Failed;
        }
        catch (OutOfMemoryException)
        {
            error.WriteLine("glip-weights: out of memory");
            return Failed;
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("glip-weights: interrupted, nothing was written");
            return Interrupted;
        }
    }
}
