using System.Diagnostics;
using Glip.Kernels;

namespace Glip.Harness.Measuring;

/// <summary>The multiply-add ceiling of a context, in samples that can stand between two calls of a kernel.</summary>
internal sealed class PeakMeter
{
    /// <summary>Shorter samples would measure the wake-up of workers.</summary>
    public const double LeastSeconds = 0.004;

    private const int FirstRounds = 1000;

    private readonly KernelContext _context;
    private readonly double _roundsPerSecond;

    /// <summary>Finds out how many rounds a sample takes.</summary>
    public PeakMeter(KernelContext context)
    {
        _context = context;
        int rounds = FirstRounds;
        double seconds = Time(rounds).Seconds;
        for (; seconds < LeastSeconds; seconds = Time(rounds).Seconds)
            rounds *= 2;
        _roundsPerSecond = rounds / seconds;
    }

    /// <summary>Billions of float operations a second from registers, now.</summary>
    /// <param name="sampleSeconds">
    /// Length of the sample. Where other programs want the processor too, a short one slips in between them: compare samples of like length.
    /// </param>
    public double Gflops(double sampleSeconds = LeastSeconds)
    {
        (double seconds, long operations) = Time((int)Math.Clamp(sampleSeconds * _roundsPerSecond, 1, int.MaxValue));
        return 1e-9 * operations / seconds;
    }

    private (double Seconds, long Operations) Time(int rounds)
    {
        long start = Stopwatch.GetTimestamp();
        long operations = MachinePeak.MultiplyAdd(_context, rounds);
        return (Stopwatch.GetElapsedTime(start).TotalSeconds, operations);
    }
}
