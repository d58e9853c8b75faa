using System.Diagnostics;
using Glip.Kernels;

namespace Glip.Harness.Measuring;

/// <summary>The multiply-add ceiling of a context, in samples short enough to stand between two calls of a kernel.</summary>
internal sealed class PeakMeter
{
    private const double SampleSeconds = 0.004;
    private const int FirstRounds = 1000;

    private readonly KernelContext _context;
    private readonly int _rounds;

    /// <summary>Finds out how long a sample must be.</summary>
    public PeakMeter(KernelContext context)
    {
        _context = context;
        _rounds = FirstRounds;
        for (double seconds = 0; seconds < SampleSeconds / 2; _rounds = (int)(_rounds * Math.Clamp(SampleSeconds / seconds, 1, 10)))
            seconds = Time(_rounds).Seconds;
    }

    /// <summary>Billions of float operations a second from registers, now.</summary>
    public double Gflops()
    {
        (double seconds, long operations) = Time(_rounds);
        return 1e-9 * operations / seconds;
    }

    /// <summary>The median of several samples.</summary>
    public double Gflops(int samples) => KernelTimer.Median(Enumerable.Range(0, samples).Select(_ => Gflops()));

    private (double Seconds, long Operations) Time(int rounds)
    {
        long start = Stopwatch.GetTimestamp();
        long operations = MachinePeak.MultiplyAdd(_context, rounds);
        return (Stopwatch.GetElapsedTime(start).TotalSeconds, operations);
    }
}
