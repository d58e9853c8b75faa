using System.Diagnostics;
using System.Globalization;

namespace Glip.Harness.Measuring;

/// <summary>What this process has in memory at a moment, in bytes.</summary>
/// <param name="Resident">All of it.</param>
/// <param name="Anonymous">Its own; 0 where the system does not say.</param>
/// <param name="Files">Pages of mapped files, which other processes may share; 0 where the system does not say.</param>
/// <param name="Peak">The most that was resident so far.</param>
/// <param name="Managed">The garbage collector's heap.</param>
internal readonly record struct ProcessMemory(long Resident, long Anonymous, long Files, long Peak, long Managed)
{
    private const string LinuxStatus = "/proc/self/status";

    /// <summary>This moment's.</summary>
    public static ProcessMemory Now()
    {
        using Process process = Process.GetCurrentProcess();
        long managed = GC.GetGCMemoryInfo(GCKind.Any).TotalCommittedBytes;
        string[] lines = File.Exists(LinuxStatus) ? File.ReadAllLines(LinuxStatus) : [];
        return new ProcessMemory(process.WorkingSet64, Line("RssAnon:"), Line("RssFile:"), process.PeakWorkingSet64, managed);

        long Line(string key) => Array.Find(lines, line => line.StartsWith(key, StringComparison.Ordinal)) is { } line
            ? 1024 * long.Parse(line.AsSpan(key.Length).Trim().TrimEnd("kB ").Trim(), CultureInfo.InvariantCulture)
            : 0;
    }
}
