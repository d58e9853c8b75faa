using System.CommandLine;
using System.CommandLine.Invocation;
using Glip.Harness.Commands;
using Glip.Harness.Shapes;
using Glip.Managed;

namespace Glip.Harness;

/// <summary>The command <c>glip-bench</c>: parses, runs, and turns every outcome into an exit code and at most one line on the error stream.</summary>
internal static class BenchCommandLine
{
    public const int Success = 0;
    public const int Failure = 1;
    public const int WrongUsage = 2;

    public static int Run(IReadOnlyList<string> args, TextWriter output, TextWriter error)
    {
        var root = new RootCommand("Timings of Glip.Managed on this machine, by a plain stopwatch.")
        {
            PeakCommand.Create(output),
            KernelCommand.Create("gemm", "time matrix products", [GemmShape.Grammar], output),
            KernelCommand.Create("conv", "time convolutions", [ConvShape.Grammar], output),
            KernelCommand.Create("dcn", "time modulated deformable convolutions", [DcnShape.Grammar], output),
            KernelCommand.Create(
                "attention", "time a Swin block's window attention, a BERT layer, its attention alone, or the fusion's attention both ways",
                [WindowAttentionShape.Grammar, BertLayerShape.Grammar, MultiHeadAttentionShape.Grammar, BiAttentionShape.Grammar], output),
            ShapesCommand.Create(output),
            ModelCommand.Create(output),
            MemoryCommand.Create(output),
        };

        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Action is ParseErrorAction)
            return Report(WrongUsage, $"{string.Join("; ", parsed.Errors.Select(e => e.Message.TrimEnd('.')))} (see {CommandPath(parsed)} --help)");
        try
        {
            return parsed.Invoke(new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false });
        }
        catch (Exception e) when (e is UsageException or ArgumentException)
        {
            return Report(WrongUsage, e is ArgumentException { ParamName: { } name } ? e.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal) : e.Message);
        }
        catch (Exception e) when (e is GlipFormatException or IOException or InsufficientMemoryException)
        {
            return Report(Failure, e.Message);
        }
        catch (Exception e) when (e is OverflowException or OutOfMemoryException)
        {
            return Report(Failure, "out of memory: choose smaller shapes");
        }
        catch (Exception e)
        {
            return Report(Failure, $"unexpected {e.GetType().Name}: {e.Message}");
        }

        int Report(int code, string message)
        {
            error.WriteLine($"glip-bench: {message.ReplaceLineEndings(" ")}");
            return code;
        }
    }

    private static string CommandPath(ParseResult parsed) =>
        parsed.CommandResult.Command is RootCommand ? "glip-bench" : $"glip-bench {parsed.CommandResult.Command.Name}";
}
