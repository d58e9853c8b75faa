using System.Globalization;

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
            Decodes FILE N (20) times on one thread and prints the fastest, the median and the first time.
        glip-imaging-fuzz compare FOLDER
            Decodes every picture NAME.EXT that has the expected pixels beside it in NAME.EXT.png, and prints the
            differences for each group of names, which is what comes before the first '-'.
        """;

    private static int Main(string[] args)
    {
        switch (args)
        {
            case ["run", { } seeds, .. { } rest] when Options(rest, "--count", "--first") is { } numbers:
                return new FuzzRun(seeds).Execute(numbers.GetValueOrDefault("--first", 0), numbers.GetValueOrDefault("--count", 10_000), Console.Out);
            case ["time", { } file, .. { } rest] when Options(rest, "--repeat") is { } numbers:
                DecodeTiming.Print(file, numbers.GetValueOrDefault("--repeat", 20), Console.Out);
                return 0;
            case ["compare", { } folder]:
                return PixelComparison.Print(folder, Console.Out);
            default:
                Console.Error.WriteLine(Usage);
                return 2;
        }
    }

    /// <summary>Pairs of a name and a positive number; null if they are anything else.</summary>
    private static Dictionary<string, int>? Options(string[] args, params string[] names)
    {
        var numbers = new Dictionary<string, int>();
        for (int i = 0; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length || !names.Contains(args[i]) || !int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out int value) || value < 0)
                return null;
            numbers[args[i]] = value;
        }

        return numbers;
    }
}
