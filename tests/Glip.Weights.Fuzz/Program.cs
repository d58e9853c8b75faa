using Glip.Fuzzing;

namespace Glip.Weights.Fuzz;

/// <summary>Command line of the tool.</summary>
internal static class Program
{
    private const string Usage = """
        glip-weights-fuzz run [--count N] [--first N]
            Reads N (10000) damaged checkpoints and model files and prints what went wrong; the exit code says whether anything
            did. Files are numbered from --first (0) and the same each time. Set DOTNET_GCHeapHardLimit for a hard bound on memory.
        glip-weights-fuzz malicious
            Converts files that would run commands or fill the memory; each must be refused with its reason.
        glip-weights-fuzz write FOLDER
            Writes the malicious files to FOLDER. Do not load them with Python.
        """;

    private static async Task<int> Main(string[] args)
    {
        using var run = new FuzzRun();
        switch (args)
        {
            case ["run", .. { } rest] when NumberOptions.Parse(rest, "--count", "--first") is { } numbers:
                return await run.ReadDamaged(numbers.GetValueOrDefault("--first", 0), numbers.GetValueOrDefault("--count", 10_000), Console.Out);
            case ["malicious"]:
                return await run.RefuseMalicious(Console.Out);
            case ["write", { } folder]:
                FuzzRun.WriteMalicious(folder);
                return 0;
            default:
                Console.Error.WriteLine(Usage);
                return 2;
        }
    }
}
