using System.IO.Compression;

namespace Glip.Tests.Weights.Torch;

/// <summary>Zip archives as torch.save writes them, and as it never would.</summary>
internal static class CheckpointBuilder
{
    /// <summary>Archive entries under a root folder, stored without compression.</summary>
    public static byte[] Zip(string root, params (string Name, byte[] Bytes)[] entries) =>
        Zip(CompressionLevel.NoCompression, root, entries);

    public static byte[] Zip(CompressionLevel level, string root, params (string Name, byte[] Bytes)[] entries)
    {
        using var file = new MemoryStream();
        using (var archive = new ZipArchive(file, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach ((string name, byte[] bytes) in entries)
            {
                using Stream entry = archive.CreateEntry($"{root}/{name}", level).Open();
                entry.Write(bytes);
            }
        }

        return file.ToArray();
    }

    /// <summary>Little-endian bytes of single precision numbers.</summary>
    public static byte[] Singles(params float[] values) => [.. values.SelectMany(BitConverter.GetBytes)];

    /// <summary>The numbers 0, 1, 2… in single precision.</summary>
    public static byte[] Count(int count) => Singles([.. Enumerable.Range(0, count).Select(i => (float)i)]);
}
