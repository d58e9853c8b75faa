using System.Diagnostics;
using Glip.Kernels;

namespace Glip.Harness.Measuring;

/// <summary>What a kernel took.</summary>
/// <param name="MedianSeconds">Median time of a call.</param>
/// <param name="Gflops">Billions of float operations a second of the direct algorithm, at the median time.</param>
/// <param name="PeakFraction">Median over the samples of a sample's rate by the ceiling just before and just after it.</param>
internal readonly record struct KernelTiming(double MedianSeconds, double Gflops, double PeakFraction);

/// <summary>Times calls of kernels in alternation with the multiply-add ceiling, because on a shared host both drift.</summary>
internal sealed class KernelTimer
{
    // A sample shorter than this would measure the clock and the wake-up of workers.
    private const double LeastSampleSeconds = 0.001;

    // The runtime recompiles warm methods 0.1 s after the last new one was called.
    private const double FirstWarmUpSeconds = 0.5;
    private const double WarmUpSeconds = 0.1;
    private const double TimedSeconds = 0.3;
    private const double MostPeakSeconds = 0.05;
    private const int FewestSamples = 7;
    private const int MostSamples = 51;

    private readonly PeakMeter _peak;
    private double _warmUpSeconds = FirstWarmUpSeconds;

    public KernelTimer(KernelContext context) => _peak = new PeakMeter(context);

    /// <summary>Times a kernel.</summary>
    /// <param name="kernel">One call.</param>
    /// <param name="multiplyAdds">Multiply-adds of a call.</param>
    /// <param name="samples">Samples to take, or null for about a third of a second's worth.</param>
    public KernelTiming Measure(Action kernel, long multiplyAdds, int? samples = null)
    {
        (int calls, double last) = WarmUp(kernel);
        double peakSeconds = Math.Clamp(last, PeakMeter.LeastSeconds, MostPeakSeconds);
        var seconds = new List<double>();
        var fractions = new List<double>();
        double total = 0, before = _peak.Gflops(peakSeconds);
        while (samples is { } wanted ? seconds.Count < wanted : seconds.Count < FewestSamples || (total < TimedSeconds && seconds.Count < MostSamples))
        {
            double sample = Time(kernel, calls), after = _peak.Gflops(peakSeconds);
            seconds.Add(sample / calls);
            fractions.Add(Gflops(multiplyAdds, sample / calls) / ((before + after) / 2));
            total += sample;
            before = after;
        }

        double median = Median(seconds);
        return new KernelTiming(median, Gflops(multiplyAdds, median), Median(fractions));
    }

    /// <summary>The middle value; of an even number of values the mean of the two in the middle.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static double Gflops(long multiplyAdds, double seconds) => 2e-9 * multiplyAdds / seconds;

    private static double Time(Action kernel, int calls)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < calls; i++)
            kernel();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Calls until the code and the caches are warm; returns how many calls make a sample, and how long the last one took.</summary>
    private (int Calls, double Seconds) WarmUp(Action kernel)
    {
        int calls = 1;
        double total = 0, last;
        do
        {
            last = Time(kernel, calls);
            total += last;
            if (last < LeastSampleSeconds)
                calls *= 2;
        }
        while (total < _warmUpSeconds || last < LeastSampleSeconds);
        _warmUpSeconds = WarmUpSeconds;
        return (calls, last);
    }
}
