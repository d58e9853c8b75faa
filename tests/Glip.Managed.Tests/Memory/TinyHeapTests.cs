using System.Diagnostics;
using System.Globalization;

namespace Glip.Tests.Memory;

/// <summary>Whole processes under a hard limit of the garbage collector's heap: weights are outside it, so that it only has to hold a call's workspace.</summary>
public class TinyHeapTests
{
    [Fact]
    public void The_default_model_detects_in_a_heap_of_64_MB() => Assert.Contains("call 2", Run(64, 0, "--size", "240x320", "--calls", "2"), StringComparison.Ordinal);

    [Fact]
    public void A_full_size_GLIP_T_by_formula_loads_and_detects_in_a_heap_of_256_MB() =>
        Assert.Contains("call 1", Run(256, 0, "--config", "glip-t", "--size", "256x320", "--prompt", "dog . red car", "--calls", "1"), StringComparison.Ordinal);

    [Fact]
    public void A_picture_that_does_not_fit_is_refused_in_plain_words()
    {
        string error = Run(40, 1, "--size", "1600x2400", "--calls", "1");
        Assert.Matches(@"^glip-bench: a 2400x1600 input with \d+ tokens needs \d+ bytes of workspace beside the weights, the process may have \d+ bytes in all; choose a smaller size or raise the limit$", error.Trim());
    }

    [Fact]
    public void A_model_that_does_not_fit_is_refused_in_plain_words()
    {
        string error = Run(60, 1, "--config", "glip-t", "--prompt", "dog", "--calls", "1");
        Assert.Matches(@"^glip-bench: procedural:glip-t:1: its weights do not fit into memory: the process may have \d+ bytes in all", error.Trim());
    }

    /// <summary>Runs <c>glip-bench memory</c> in a heap of so many MiB and gives what it printed: results, or its line of error.</summary>
    private static string Run(int mebibytes, int exitCode, params string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "glip-bench.dll");
        var start = new ProcessStartInfo("dotnet", [program, "memory", "--threads", "2", .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["DOTNET_GCHeapHardLimit"] = (mebibytes << 20).ToString("X", CultureInfo.InvariantCulture);
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == exitCode, $"exit code {process.ExitCode}: {error.Result}");
        return exitCode == 0 ? output : error.Result;
    }
}
