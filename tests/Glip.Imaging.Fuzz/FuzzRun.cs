using System.Diagnostics;
using Glip.Managed;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Imaging.Fuzz;

/// <summary>
/// Decodes damaged pictures and checks the decoders' promises: a picture or a <see cref="GlipFormatException"/> and nothing
/// else, in bounded time, with no more memory than the limit.
/// </summary>
internal sealed class FuzzRun
{
    private const long MaxMemory = 64 << 20;
    private const long UncountedMemory = 1 << 20; // tables, messages
    private const int SlowMilliseconds = 1000;

    private static readonly ImageReadOptions _strict = new() { MaxPixels = 4_000_000, MaxMemoryBytes = MaxMemory, MaxScans = 50 };
    private static readonly ImageReadOptions _tolerant = new() { MaxPixels = 4_000_000, MaxMemoryBytes = MaxMemory, MaxScans = 50, AllowTruncated = true };

    private readonly List<byte[]> _seeds;

    public FuzzRun(string folder)
    {
        _seeds = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Where(p => Path.GetExtension(p) is ".png" or ".jpg" or ".bmp" or ".ppm" or ".pgm" or ".pbm" or ".gif")
            .Where(p => Path.GetExtension(Path.GetFileNameWithoutExtension(p)).Length == 0) // expected pixels, NAME.EXT.png
            .Order(StringComparer.Ordinal)
            .Select(File.ReadAllBytes)];
        if (_seeds.Count == 0)
            throw new DirectoryNotFoundException($"{folder} has no pictures");
    }

    /// <returns>0 if every promise was kept, otherwise 1.</returns>
    public int Execute(int first, int count, TextWriter output)
    {
        var mutator = new FileMutator(_seeds);
        int decoded = 0;
        int refused = 0;
        int failures = 0;
        (double Milliseconds, int Number) slowest = default;
        long largest = 0;
        for (int number = first; number < first + count; number++)
        {
            byte[] file = mutator.Create(number);
            long allocatedBefore = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            string? failure = null;
            try
            {
                _ = ImageFile.Read(file, "damaged", number % 3 == 0 ? _tolerant : _strict);
                decoded++;
            }
            catch (GlipFormatException)
            {
                refused++;
            }
            catch (Exception e) when (e is not InsufficientExecutionStackException)
            {
                failure = e.ToString();
            }

            double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            long allocated = GC.GetAllocatedBytesForCurrentThread() - allocatedBefore;
            if (milliseconds > slowest.Milliseconds)
                slowest = (milliseconds, number);
            largest = Math.Max(largest, allocated);
            if (milliseconds > SlowMilliseconds)
                failure ??= $"took {milliseconds:F0} ms";
            if (allocated > MaxMemory + UncountedMemory)
                failure ??= $"allocated {allocated} bytes";
            if (failure is null)
                continue;
            failures++;
            output.WriteLine($"number {number}, {file.Length} bytes: {failure}");
        }

        output.WriteLine(
            $"{count} damaged copies of {_seeds.Count} pictures: {decoded} decoded, {refused} refused, {failures} failures; slowest {slowest.Milliseconds:F0} ms (number {slowest.Number}), largest {largest} bytes");
        return failures == 0 ? 0 : 1;
    }
}
