namespace Glip.Tests.Weights;

/// <summary>Damages files the way disks, downloads and attackers do, the same way each time for a seed.</summary>
internal static class Mutation
{
    /// <summary>A damaged copy of <paramref name="original"/>: bytes changed, removed, inserted or cut off within <paramref name="range"/>.</summary>
    public static byte[] Of(ReadOnlySpan<byte> original, int seed, Range range)
    {
        var random = new Random(seed);
        var bytes = new List<byte>(original.ToArray());
        (int start, int length) = range.GetOffsetAndLength(bytes.Count);
        for (int i = random.Next(1, 4); i > 0; i--)
        {
            int at = Math.Min(start + random.Next(length), bytes.Count - 1);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes[at] = (byte)"0123456789-{}[]\",:.()etuq"[random.Next(25)];
                    break;
                case 3:
                    bytes.RemoveAt(at);
                    break;
                case 4:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                default:
                    if (random.Next(4) == 0)
                        bytes.RemoveRange(at, bytes.Count - at);
                    else
                        bytes[at] = bytes[random.Next(bytes.Count)];
                    break;
            }

            if (bytes.Count == 0)
                break;
        }

        return [.. bytes];
    }
}
