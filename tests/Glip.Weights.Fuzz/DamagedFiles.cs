using Glip.Kernels;
using Glip.Managed.Weights;
using Glip.Tests.Weights;
using Glip.Tests.Weights.Torch;
using Glip.WeightsTools;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Weights.Fuzz;

/// <summary>Damages checkpoints and model files the way disks, downloads and attackers do, the same way each time for a number.</summary>
internal sealed class DamagedFiles
{
    private static readonly byte[] s_telling =
    [
        0, 1, 2, 4, 0x7F, 0x80, 0xFF, .. "PK()[]{}.0123456789\",:eatuqQRbchjJKMNXG"u8, 0x81, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x92, 0x93, 0x94, 0x95,
    ];

    private readonly List<Seed> _seeds = [];

    public DamagedFiles()
    {
        List<Tensor> all = Tensors();
        List<Tensor> few = [.. all.Take(6)]; // more of the damage is then in tables than in elements
        foreach (List<Tensor> tensors in (List<Tensor>[])[all, few])
        {
            byte[] pickle = Pickle(tensors);
            RawEntry[] entries = [.. tensors.Select((t, i) => new RawEntry($"archive/data/{i}", t.Bytes))];
            foreach (bool zip64 in (bool[])[true, false])
            {
                // Damage anywhere; and in the pickle alone, with the checksums made right again, without which it would not get far.
                byte[] whole = RawZip.Write(zip64, [new RawEntry("archive/data.pkl", pickle), .. entries]);
                _seeds.Add(new(whole, bytes => bytes));
                _seeds.Add(new(pickle, bytes => RawZip.Write(zip64, [new RawEntry("archive/data.pkl", bytes), .. entries])));
            }

            _seeds.Add(new(LegacyFile.Write(pickle, [.. tensors.Select((t, i) => ($"{i}", 4, t.Bytes))]), bytes => bytes));
            _seeds.Add(new(ModelBytes([.. tensors, VocabularyTensor()], Metadata()), bytes => bytes));
        }

        _seeds.Add(new(Packed(), bytes => bytes));
    }

    /// <summary>Number of different files that are damaged.</summary>
    public int Seeds => _seeds.Count;

    /// <summary>Damaged file number <paramref name="number"/>.</summary>
    public byte[] Create(int number)
    {
        // A generator seeded by neighbouring numbers begins with related values; the first few are thrown away.
        var random = new Random(number);
        for (int i = 0; i < 3; i++)
            random.Next();
        Seed seed = _seeds[number % _seeds.Count];
        var bytes = new List<byte>(seed.Bytes);
        for (int changes = random.Next(1, 6); changes > 0 && bytes.Count > 0; changes--)
            Change(bytes, random);
        return seed.Complete([.. bytes]);
    }

    /// <summary>The tiny model, packed for the one layout that every machine can load.</summary>
    private static byte[] Packed()
    {
        using var folder = new TempFolder();
        string packed = folder.File("packed");
        ModelPacker.Pack(folder.Write("model", ModelBytes()), SimdIsa.Scalar, packed);
        return File.ReadAllBytes(packed);
    }

    private void Change(List<byte> bytes, Random random)
    {
        // Tables stand at either end.
        int at = random.Next(3) switch
        {
            0 => random.Next(Math.Min(400, bytes.Count)),
            1 => bytes.Count - 1 - random.Next(Math.Min(400, bytes.Count)),
            _ => random.Next(bytes.Count),
        };
        switch (random.Next(9))
        {
            case 0: // bit flip
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1: // any value
                bytes[at] = (byte)random.Next(256);
                break;
            case 2: // a value that means something
                bytes[at] = s_telling[random.Next(s_telling.Length)];
                break;
            case 3: // forged 32- or 64-bit size
                for (int i = at; i < Math.Min(bytes.Count, at + ((random.Next(2) + 1) * 4)); i++)
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
                byte[] other = _seeds[random.Next(_seeds.Count)].Bytes;
                int from = random.Next(other.Length);
                bytes.InsertRange(at, other.AsSpan(from, Math.Min(random.Next(1, 400), other.Length - from)).ToArray());
                break;
            default: // an opcode or a sign out of place
                bytes.Insert(at, s_telling[random.Next(s_telling.Length)]);
                break;
        }
    }

    private static byte[] Pickle(List<Tensor> tensors)
    {
        var pickle = new PickleBuilder().Op("}(").Text("model").Op("}(");
        for (int i = 0; i < tensors.Count; i++)
        {
            var strides = new long[tensors[i].Shape.Length];
            long stride = 1;
            for (int d = strides.Length - 1; d >= 0; d--)
            {
                strides[d] = stride;
                stride *= tensors[i].Shape[d];
            }

            pickle.Text("module." + tensors[i].Name).Tensor("FloatStorage", $"{i}", stride, 0, [.. tensors[i].Shape.Select(d => (long)d)], strides);
        }

        return pickle.Op("u").Text("optimizer").Op("}(").Text("step").Op("K\u0001").Text("best").Op("G").Op("\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000").Op("uu").End();
    }

    /// <summary>Bytes to damage, and what makes a file of them.</summary>
    private sealed record Seed(byte[] Bytes, Func<byte[], byte[]> Complete);
}
