namespace Glip.Fuzzing;

/// <summary>Damages files the way disks, downloads and attackers do, the same way each time for a number.</summary>
/// <param name="seeds">Whole files.</param>
/// <param name="telling">Bytes that mean something in these formats.</param>
/// <param name="sizeBytes">Bytes of the smaller of the two kinds of size that the formats store; the other has twice as many.</param>
/// <param name="position">Chooses where, among so many bytes: the places that matter more often than their share.</param>
internal sealed class Damage(IReadOnlyList<byte[]> seeds, byte[] telling, int sizeBytes, Func<Random, int, int> position)
{
    /// <summary>A damaged copy of seed <paramref name="number"/> modulo their number.</summary>
    /// <param name="number">Which.</param>
    /// <param name="random">The generator that was used, for choices of the caller's own.</param>
    public byte[] Create(int number, out Random random)
    {
        // A generator seeded by neighbouring numbers begins with related values; the first few are thrown away.
        random = new Random(number);
        for (int i = 0; i < 3; i++)
            random.Next();
        var bytes = new List<byte>(seeds[number % seeds.Count]);
        for (int changes = random.Next(1, 6); changes > 0 && bytes.Count > 0; changes--)
            Change(bytes, random);
        return [.. bytes];
    }

    private void Change(List<byte> bytes, Random random)
    {
        int at = position(random, bytes.Count);
        switch (random.Next(9))
        {
            case 0: // bit flip
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1: // any value
                bytes[at] = (byte)random.Next(256);
                break;
            case 2: // a value that means something
                bytes[at] = Telling(random);
                break;
            case 3: // forged size
                for (int i = at; i < Math.Min(bytes.Count, at + ((random.Next(2) + 1) * sizeBytes)); i++)
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
            default: // out of place, alone or behind 0xFF, which begins a marker
                bytes.Insert(at, Telling(random));
                if (random.Next(2) == 0)
                    bytes.Insert(at, 0xFF);
                break;
        }
    }

    private byte Telling(Random random) => telling[random.Next(telling.Length)];
}
