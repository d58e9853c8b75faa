using System.Globalization;
using System.Text;
using Glip.Managed;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Imaging.Drawing;

namespace Glip.Cli;

/// <summary>The folder of <c>--crops</c>: one PNG a detection, named <c>PICTURE-RANK-PHRASE.png</c>.</summary>
internal static class CropFolder
{
    // In characters; names of files may have 255 bytes.
    private const int LongestPhrase = 40;

    /// <summary>Refuses a folder that cannot be made or written, before any work is done. Makes nothing.</summary>
    /// <exception cref="UsageException">No name.</exception>
    /// <exception cref="IOException">A file has the name, or no file can be made there.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not write there.</exception>
    public static void Check(string path, string pictureName)
    {
        if (path.Length == 0)
            throw new UsageException("the name of the folder for crops is empty");
        string existing = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        while (!Path.Exists(existing) && Path.GetDirectoryName(existing) is { } parent)
            existing = parent;
        if (File.Exists(existing))
            throw new IOException($"{path}: cannot write crops, {existing} is a file");
        OutputFile.RequireWritable(Path.Combine(existing, FileName(pictureName, rank: 1, count: 1, phrase: "")));
    }

    /// <summary>Makes the folder and writes what the boxes hold, best detection first.</summary>
    /// <exception cref="IOException">The folder or a file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not write there.</exception>
    public static void Write(string path, string pictureName, ImageView image, IReadOnlyList<Detection> detections)
    {
        Directory.CreateDirectory(path);
        for (int i = 0; i < detections.Count; i++)
        {
            string name = FileName(pictureName, rank: i + 1, detections.Count, detections[i].Phrase.Text);
            ImageFile.WritePng(Path.Combine(path, name), image.Crop(detections[i].Box));
        }
    }

    /// <summary>A name that any file system takes, in the order of rank when sorted: letters and digits of the phrase, runs of all else as one '_'.</summary>
    internal static string FileName(string pictureName, int rank, int count, string phrase)
    {
        int digits = count.ToString(CultureInfo.InvariantCulture).Length;
        var safe = new StringBuilder();
        foreach (Rune character in phrase.EnumerateRunes().Take(LongestPhrase))
        {
            if (Rune.IsLetterOrDigit(character))
                safe.Append(character.ToString());
            else if (safe.Length > 0 && safe[^1] != '_')
                safe.Append('_');
        }

        string text = safe.ToString().TrimEnd('_');
        return $"{pictureName}-{rank.ToString($"D{digits}", CultureInfo.InvariantCulture)}-{(text.Length == 0 ? "object" : text)}.png";
    }
}
