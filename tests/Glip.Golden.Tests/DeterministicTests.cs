using System.Globalization;
using Glip.Managed;
using Xunit.Abstractions;

namespace Glip.Tests;

/// <summary>
/// Deterministic mode gives the same bits on every processor: every leg of CI, x64 with and without vectors and ARM64, runs these tests and compares with the same stored
/// hashes of every stage.
/// </summary>
public class DeterministicTests(ITestOutputHelper output)
{
    // A case a line: its name, then a hash of each stage's bytes, in the order of computation.
    private const string HashFile = "stage-bits.txt";

    public static TheoryData<string> Cases()
    {
        var data = new TheoryData<string>();
        foreach (string name in MicroModelTests.CaseNames)
            data.Add(name);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_stage_has_the_stored_bits_and_equals_the_original(string name)
    {
        string model = name.Split('/')[0];
        GoldenCase golden = GoldenCase.Load(model, name.Split('/')[1]);
        using GlipDetector detector = GlipDetector.Load(MicroModelTests.Procedural(model), new GlipOptions { Deterministic = true, Threads = 2 });
        StageCollector stages = golden.Run(detector);
        AssertBits(name, stages);
        output.WriteLine(StageComparison.Summary(StageComparison.AssertEqual(golden, stages)));
        FinalDetections.AssertEqual(golden, stages);
    }

    private static void AssertBits(string name, StageCollector stages)
    {
        string[] names = [.. stages.Names];
        string[] found = [.. names.Select(stage => Hash(stages.Bytes(stage)))];
        string line = $"{name} {string.Join(' ', found)}";
        string stored = File.ReadLines(TestData.Path(HashFile)).FirstOrDefault(l => l.StartsWith(name + " ", StringComparison.Ordinal))
            ?? throw new InvalidDataException($"{HashFile}: no line for {name}; this process computes\n{line}");
        if (line == stored)
            return;
        string[] expected = stored.Split(' ')[1..];
        int first = Enumerable.Range(0, Math.Max(found.Length, expected.Length)).First(i => found.ElementAtOrDefault(i) != expected.ElementAtOrDefault(i));
        Assert.Fail(string.Create(
            CultureInfo.InvariantCulture,
            $"first stage with other bits: {names.ElementAtOrDefault(first) ?? "none"} ({first + 1} of {names.Length}; {HashFile} has {expected.Length}). This process computes\n{line}"));
    }

    /// <summary>FNV-1a with 64 bits, folded to 32. The platform's SHA needs a native library, which not every place has where these tests run.</summary>
    private static string Hash(ReadOnlySpan<byte> bytes)
    {
        ulong hash = 0xCBF29CE484222325;
        foreach (byte b in bytes)
            hash = (hash ^ b) * 0x100000001B3;
        return ((uint)(hash ^ (hash >> 32))).ToString("x8", CultureInfo.InvariantCulture);
    }
}
