using System.Buffers.Binary;
using Glip.Fuzzing;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Imaging.Fuzz;

/// <summary>Damaged copies of pictures, decoded: a picture or a <see cref="GlipFormatException"/>, with no more memory than the limit.</summary>
internal sealed class DamagedPictures
{
    private const int HeaderBytes = 700; // where sizes, tables and limits are; hit more often than their share

    private static readonly byte[] s_telling = [0, 1, 2, 0x7F, 0x80, 0xD0, 0xD8, 0xD9, 0xDA, 0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xE1, 0xFE, 0xFF];
    private static readonly ImageReadOptions s_strict = new() { MaxPixels = 4_000_000, MaxMemoryBytes = 64 << 20, MaxScans = 50 };
    private static readonly ImageReadOptions s_tolerant = new() { MaxPixels = 4_000_000, MaxMemoryBytes = 64 << 20, MaxScans = 50, AllowTruncated = true };

    private readonly List<byte[]> _seeds;
    private readonly Damage _damage;

    public DamagedPictures(string folder)
    {
        _seeds = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Where(p => Path.GetExtension(p) is ".png" or ".jpg" or ".bmp" or ".ppm" or ".pgm" or ".pbm" or ".gif")
            .Where(p => Path.GetExtension(Path.GetFileNameWithoutExtension(p)).Length == 0) // expected pixels, NAME.EXT.png
            .Order(StringComparer.Ordinal)
            .Select(File.ReadAllBytes)];
        if (_seeds.Count == 0)
            throw new DirectoryNotFoundException($"{folder} has no pictures");
        _damage = new Damage(_seeds, s_telling, sizeBytes: 2, (random, length) => random.Next(random.Next(2) == 0 ? Math.Min(HeaderBytes, length) : length));
    }

    /// <inheritdoc cref="DamageRun.Execute"/>
    public Task<int> Run(int first, int count, TextWriter output) => DamageRun.Execute(
        first, count, $"{_seeds.Count} pictures", Create, (number, file) => ImageFile.Read(file, "damaged", number % 3 == 0 ? s_tolerant : s_strict), output);

    /// <summary>Damaged copy number <paramref name="number"/>.</summary>
    public byte[] Create(int number)
    {
        byte[] file = _damage.Create(number, out Random random);
        if (random.Next(4) != 0)
            RestoreChecksums(file);
        return file;
    }

    /// <summary>Makes the checksums of a PNG right again, without which damage would not get far.</summary>
    private static void RestoreChecksums(byte[] file)
    {
        const int signature = 8;
        const int lengthAndType = 8;
        const int checksum = 4;
        if (file.Length < signature || file[0] != 0x89)
            return;
        int start = signature;
        while (file.Length - start >= lengthAndType + checksum)
        {
            uint length = BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(start));
            if (length > file.Length - start - lengthAndType - checksum)
                break;
            int end = start + lengthAndType + (int)length;
            BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(end), Crc32.Of(file.AsSpan(start + 4, end - start - 4)));
            start = end + checksum;
        }
    }
}
