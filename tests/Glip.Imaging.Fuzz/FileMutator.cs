using System.Buffers.Binary;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Imaging.Fuzz;

/// <summary>Damages pictures the way disks, downloads and attackers do, the same way each time for a number.</summary>
internal sealed class FileMutator(IReadOnlyList<byte[]> seeds)
{
    private const int HeaderBytes = 700; // where sizes, tables and limits are; hit more often than their share

    private static readonly byte[] _telling = [0, 1, 2, 0x7F, 0x80, 0xD0, 0xD8, 0xD9, 0xDA, 0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xE1, 0xFE, 0xFF];

    /// <summary>Damaged copy number <paramref name="number"/>.</summary>
    public byte[] Create(int number)
    {
        // A generator seeded by neighbouring numbers begins with related values; the first few are thrown away.
        var random = new Random(number);
        for (int i = 0; i < 3; i++)
            random.Next();
        var bytes = new List<byte>(seeds[number % seeds.Count]);
        for (int changes = random.Next(1, 6); changes > 0 && bytes.Count > 0; changes--)
            Change(bytes, random);
        byte[] file = [.. bytes];
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

    private void Change(List<byte> bytes, Random random)
    {
        int at = random.Next(random.Next(2) == 0 ? Math.Min(HeaderBytes, bytes.Count) : bytes.Count);
        switch (random.Next(9))
        {
            case 0: // bit flip
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1: // any value
                bytes[at] = (byte)random.Next(256);
                break;
            case 2: // a value that means something
                bytes[at] = _telling[random.Next(_telling.Length)];
                break;
            case 3: // forged 16- or 32-bit size
                for (int i = at; i < Math.Min(bytes.Count, at + (random.Next(2) + 1) * 2); i++)
                    bytes[i] = random.Next(3) switch { 0 => 0xFF, 1 => 0, _ => (byte)random.Next(256) };
                break;
            case 4: // cut off
                if (random.Next(3) == 0)
                    bytes.RemoveRange(at, bytes.Count - at);
                break;
            case 5: // cut out
                bytes.RemoveRange(at, Math.Min(random.Next(1, 40), bytes.Count - at));
                break;
            case 6: // said twice
                bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(1, 200), bytes.Count - at)));
                break;
            case 7: // spliced with another file
                byte[] other = seeds[random.Next(seeds.Count)];
                int from = random.Next(other.Length);
                bytes.InsertRange(at, other.AsSpan(from, Math.Min(random.Next(1, 400), other.Length - from)).ToArray());
                break;
            default: // a marker out of place
                bytes.InsertRange(at, [0xFF, _telling[random.Next(_telling.Length)]]);
                break;
        }
    }
}
