using System.Diagnostics;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Imaging.Fuzz;

/// <summary>Times decoding of a file that is in memory.</summary>
internal static class DecodeTiming
{
    private const int WarmUps = 5;

    public static void Print(string path, int repeat, TextWriter output)
    {
        byte[] file = File.ReadAllBytes(path);
        long cold = Stopwatch.GetTimestamp();
        DecodedImage image = ImageFile.Read(file, path);
        double first = Stopwatch.GetElapsedTime(cold).TotalMilliseconds;
        for (int i = 0; i < WarmUps; i++)
            image = ImageFile.Read(file, path);
        var milliseconds = new double[Math.Max(1, repeat)];
        for (int i = 0; i < milliseconds.Length; i++)
        {
            long start = Stopwatch.GetTimestamp();
            _ = ImageFile.Read(file, path);
            milliseconds[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        Array.Sort(milliseconds);
        double median = milliseconds[milliseconds.Length / 2];
        double megapixels = image.Width * (double)image.Height / 1e6;
        output.WriteLine(
            $"{Path.GetFileName(path)} {image.Format} {image.Width}x{image.Height}: fastest {milliseconds[0]:F1} ms, median {median:F1} ms, first {first:F1} ms, {megapixels / median * 1e3:F0} MP/s");
    }
}
