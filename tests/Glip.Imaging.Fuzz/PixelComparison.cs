using Glip.Managed;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Imaging.Fuzz;

/// <summary>Compares decoded pictures with what another decoder made of them.</summary>
internal static class PixelComparison
{
    /// <returns>0 if all pictures are equal, otherwise 1.</returns>
    public static int Print(string folder, TextWriter output)
    {
        var groups = new SortedDictionary<string, Group>(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
        {
            string expectedPath = path + ".png";
            if (!File.Exists(expectedPath))
                continue;
            string name = Path.GetFileName(path);
            string key = name.Split('-', '.')[0];
            if (!groups.TryGetValue(key, out Group? group))
                groups.Add(key, group = new Group());
            group.Files++;
            try
            {
                group.Add(name, ImageFile.Read(path).Pixels, ImageFile.Read(expectedPath).Pixels, output);
            }
            catch (GlipFormatException e)
            {
                group.Failed++;
                output.WriteLine(e.Message);
            }
        }

        output.WriteLine($"{"group",-20} {"files",6} {"equal",6} {"failed",6} {"largest",8} {"mean",10}");
        foreach ((string key, Group group) in groups)
            output.WriteLine($"{key,-20} {group.Files,6} {group.Equal,6} {group.Failed,6} {group.Largest,8} {group.Sum / (double)Math.Max(1, group.Bytes),10:F6}");
        return groups.Values.All(g => g.Equal == g.Files) ? 0 : 1;
    }

    private sealed class Group
    {
        public int Files;
        public int Equal;
        public int Failed;
        public int Largest;
        public long Sum;
        public long Bytes;

        public void Add(string name, byte[] actual, byte[] expected, TextWriter output)
        {
            if (actual.Length != expected.Length)
            {
                Failed++;
                output.WriteLine($"{name}: {actual.Length} bytes, expected {expected.Length}");
                return;
            }

            int largest = 0;
            long sum = 0;
            for (int i = 0; i < actual.Length; i++)
            {
                int difference = Math.Abs(actual[i] - expected[i]);
                largest = Math.Max(largest, difference);
                sum += difference;
            }

            if (largest == 0)
                Equal++;
            else
                output.WriteLine($"{name}: largest difference {largest}, mean {sum / (double)actual.Length:F6}");
            Largest = Math.Max(Largest, largest);
            Sum += sum;
            Bytes += actual.Length;
        }
    }
}
