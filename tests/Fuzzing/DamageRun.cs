using Glip.Managed;

namespace Glip.Fuzzing;

/// <summary>
/// Reads damaged files and checks what every reader promises: a result or a <see cref="GlipFormatException"/> and nothing else, in bounded time and memory.
/// </summary>
internal static class DamageRun
{
    private const long MaxMemory = 65 << 20; // the readers' own limit of 64 MB; tables and messages
    private const int SlowMilliseconds = 1000;

    /// <summary>Reads files number <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/> − 1 and prints what went wrong, then totals.</summary>
    /// <param name="first">Number of the first file.</param>
    /// <param name="count">How many.</param>
    /// <param name="seeds">What is damaged, in words.</param>
    /// <param name="create">Makes file number n.</param>
    /// <param name="read">Reads it.</param>
    /// <param name="output">Where to print.</param>
    /// <param name="check">Looks at file number n once more, in another way: what is wrong, or null.</param>
    /// <returns>0 if every promise was kept, otherwise 1.</returns>
    public static async Task<int> Execute(
        int first, int count, string seeds, Func<int, byte[]> create, Action<int, byte[]> read, TextWriter output, Func<int, Task<string?>>? check = null)
    {
        (int done, int refused, int failures) = (0, 0, 0);
        (double Milliseconds, int Number) slowest = default;
        long largest = 0;
        for (int number = first; number < first + count; number++)
        {
            byte[] bytes = create(number);
            long allocatedBefore = GC.GetTotalAllocatedBytes(precise: true);
            TimeSpan start = Environment.CpuUsage.TotalTime; // not the clock: a busy machine is no failure
            string? failure = null;
            try
            {
                read(number, bytes);
                done++;
            }
            catch (GlipFormatException)
            {
                refused++;
            }
            catch (Exception e)
            {
                failure = e.ToString();
            }

            double milliseconds = (Environment.CpuUsage.TotalTime - start).TotalMilliseconds;
            long allocated = GC.GetTotalAllocatedBytes(precise: true) - allocatedBefore;
            if (milliseconds > slowest.Milliseconds)
                slowest = (milliseconds, number);
            largest = Math.Max(largest, allocated);
            if (milliseconds > SlowMilliseconds)
                failure ??= $"took {milliseconds:F0} ms";
            if (allocated > MaxMemory)
                failure ??= $"allocated {allocated} bytes";
            if (check is not null)
                failure ??= await check(number);
            if (failure is null)
                continue;
            failures++;
            output.WriteLine($"number {number}, {bytes.Length} bytes: {failure}");
        }

        output.WriteLine(
            $"{count} damaged copies of {seeds}: {done} read, {refused} refused, {failures} failures; slowest {slowest.Milliseconds:F0} ms (number {slowest.Number}), largest {largest} bytes");
        return failures == 0 ? 0 : 1;
    }
}
