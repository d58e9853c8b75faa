using Glip.Fuzzing;

namespace Glip.Imaging.Fuzz;

/// <summary>Command line of the codec tools.</summary>
internal static class Program
{
    private const string Usage = """
        glip-imaging-fuzz run SEEDS [--count N] [--first N]
            Decodes N (10000) damaged copies of the pictures in folder SEEDS and prints what went wrong; the exit code says
            whether anything did. Copies are numbered from --first (0) and the same each time. Set DOTNET_GCHeapHardLimit
            for a hard bound on memory.
        glip-imaging-fuzz time FILE [--repeat N]
            Decodes FILE N (20) times on one thread and prints the fastest, the median and the first time and the
            mean time of the processor, which tells more on a busy machine.
        glip-imaging-fuzz compare FOLDER
            Decodes every picture NAME.EXT that has the expected pixels beside it in NAME.EXT.png, and prints the
            differences for each group of names, which is what comes before the first '-'.
        """;

    private static async Task<int> Main(string[] args)
    {
        switch (args)
        {
            case ["run", { } seeds, .. { } rest] when NumberOptions.Parse(rest, "--count", "--first") is { } numbers:
                return await new DamagedPictures(seeds).Run(numbers.GetValueOrDefault("--first", 0), numbers.GetValueOrDefault("--count", 10_000), Console.Out);
            case ["time", { } file, .. { } rest] when NumberOptions.Parse(rest, "--repeat") is { } numbers:
                DecodeTiming.Print(file, numbers.GetValueOrDefault("--repeat", 20), Console.Out);
                return 0;
            case ["compare", { } folder]:
                return PixelComparison.Print(folder, Console.Out);
            default:
                Console.Error.WriteLine(Usage);
                return 2;
        }
    }
}
