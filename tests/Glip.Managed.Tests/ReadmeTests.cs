using Glip.Managed;
using Glip.Managed.Imaging.Codecs;
using Glip.Tests;
using TestData = Glip.Tests.TestData;

namespace Glip.Managed.Tests;

/// <summary>Tests that change the process (current folder, console) run alone.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class ProcessWide
{
    public const string Name = "process-wide";
}

/// <summary>The README's example is this file's: it runs here, and its text is compared.</summary>
[Collection(ProcessWide.Name)]
public class ReadmeTests
{
    private static readonly string s_repository = Path.GetFullPath(Path.Combine(TestData.Root, "..", ".."));

    [Fact]
    public void The_example_finds_what_it_looks_for()
    {
        string folder = Directory.GetCurrentDirectory();
        TextWriter output = Console.Out;
        using var written = new StringWriter();
        try
        {
            // The example reads a sample by its path in the repository.
            Directory.SetCurrentDirectory(s_repository);
            Console.SetOut(written);
            Example();
        }
        finally
        {
            Console.SetOut(output);
            Directory.SetCurrentDirectory(folder);
        }

        string[] lines = written.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Count(line => line.StartsWith("pizza 0.", StringComparison.Ordinal)));
        Assert.Single(lines, line => line.StartsWith("sunflower 0.", StringComparison.Ordinal));
        Assert.Single(lines, line => line.StartsWith("sailboat 0.", StringComparison.Ordinal));
    }

    [Fact]
    public void The_example_is_the_readmes()
    {
        string source = File.ReadAllText(Path.Combine(s_repository, "tests", "Glip.Managed.Tests", "ReadmeTests.cs"));
        string readme = File.ReadAllText(Path.Combine(s_repository, "README.md"));
        string shown = Between(readme, "```csharp\n", "```");
        string run = Between(source, "// example begins\n", "// example ends");
        string[] body = [.. Lines(shown).SkipWhile(line => line.StartsWith("using Glip", StringComparison.Ordinal))];
        Assert.Equal(body, Lines(run));
        Assert.All(Lines(shown).Except(body), line => Assert.Contains(line, source, StringComparison.Ordinal));
    }

    private static void Example()
    {
        // example begins
        DecodedImage picture = ImageFile.Read("samples/scene5.png");
        using GlipDetector detector = GlipDetector.LoadDefault();
        foreach (Detection found in detector.Detect(picture.View, "pizza . sunflower . sailboat"))
        {
            (float left, float top, float right, float bottom) = found.Box;
            Console.WriteLine($"{found.Phrase.Text} {found.Score:F2}: {left:F0} {top:F0} {right:F0} {bottom:F0}");
        }

        // example ends
    }

    private static string Between(string text, string begin, string end)
    {
        int from = text.IndexOf(begin, StringComparison.Ordinal) + begin.Length;
        return text[from..text.IndexOf(end, from, StringComparison.Ordinal)];
    }

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
