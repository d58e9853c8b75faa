using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Glip.Kernels;

namespace Glip.Harness;

/// <summary>The ceilings of this machine: fused multiply-adds from registers, and reading from memory.</summary>
internal static class PeakBench
{
    // A tenth of a second or so a round: long enough for clocks to settle, short enough to take the best of several.
    private const int FmaRounds = 400_000;
    private const int ReadFloats = 64 << 20;
    private const int Repeats = 9;

    public static Command Command()
    {
        var machine = new MachineOptions();
        var command = new Command("peak", "measure the machine's ceilings: multiply-adds and memory");
        machine.AddTo(command);
        command.SetAction(parsed => Run(machine.Isa(parsed), machine.Threads(parsed), machine.Json(parsed)));
        return command;
    }

    /// <summary>Billions of float operations a second from registers, the best of several rounds.</summary>
    public static double FmaGflops(KernelContext context)
    {
        double best = 0;
        for (int i = 0; i < Repeats; i++)
        {
            long start = Stopwatch.GetTimestamp();
            long operations = MachinePeak.MultiplyAdd(context, FmaRounds);
            best = Math.Max(best, 1e-9 * operations / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }

    private static int Run(SimdIsa isa, int threads, bool json)
    {
        using var context = new KernelContext(isa, threads);
        double gflops = FmaGflops(context), bandwidth = BandwidthGbs(context);
        Console.WriteLine(json
            ? Report.Json(writer =>
            {
                writer.WriteString("isa", isa.Name());
                writer.WriteNumber("threads", threads);
                writer.WriteNumber("fma_gflops", gflops);
                writer.WriteNumber("bandwidth_gbs", bandwidth);
            })
            : string.Create(CultureInfo.InvariantCulture, $"{isa.Name()} {threads} threads: {gflops:F0} GFLOP/s multiply-add, {bandwidth:F1} GB/s read"));
        return 0;
    }

    private static double BandwidthGbs(KernelContext context)
    {
        var memory = new float[ReadFloats];
        Array.Fill(memory, 1f);
        double best = 0;
        for (int i = 0; i < Repeats; i++)
        {
            long start = Stopwatch.GetTimestamp();
            if (MachinePeak.Read(context, memory) == 0)
                throw new InvalidOperationException("the memory was not read");
            best = Math.Max(best, 4e-9 * ReadFloats / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }
}
