using System.CommandLine;
using System.Diagnostics;
using Glip.Harness.Measuring;
using Glip.Harness.Reports;
using Glip.Kernels;

namespace Glip.Harness.Commands;

/// <summary>The ceilings of this machine: fused multiply-adds from registers, and reading from memory. The best of several rounds each.</summary>
internal static class PeakCommand
{
    private const int ReadFloats = 64 << 20;
    private const int ReadRounds = 9;
    private const int FmaRounds = 100;

    public static Command Create(TextWriter output)
    {
        var machine = new MachineOptions();
        var format = new ReportOptions();
        var command = new Command("peak", "measure the machine's ceilings: multiply-adds and memory");
        machine.AddTo(command);
        format.AddTo(command);
        command.SetAction(parsed => format.Write(Run(machine.Isa(parsed), machine.Threads(parsed)), parsed, output));
        return command;
    }

    private static Report Run(SimdIsa isa, int threads)
    {
        using var context = new KernelContext(isa, threads);
        var report = new Report();
        report.Add("isa", isa.Name());
        report.Add("threads", threads);
        report.Add("fma_gflops", Cell.Number(FmaGflops(context), 1));
        report.Add("bandwidth_gbs", Cell.Number(BandwidthGbs(context), 1));
        return report;
    }

    private static double FmaGflops(KernelContext context)
    {
        var meter = new PeakMeter(context);
        return Enumerable.Range(0, FmaRounds).Max(_ => meter.Gflops());
    }

    private static double BandwidthGbs(KernelContext context)
    {
        var memory = new float[ReadFloats];
        Array.Fill(memory, 1f);
        double best = 0;
        for (int i = 0; i < ReadRounds; i++)
        {
            long start = Stopwatch.GetTimestamp();
            if (MachinePeak.Read(context, memory) == 0)
                throw new InvalidOperationException("the memory was not read");
            best = Math.Max(best, 4e-9 * ReadFloats / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }
}
