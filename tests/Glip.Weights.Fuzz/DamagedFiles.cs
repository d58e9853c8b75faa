using Glip.Fuzzing;
using Glip.Kernels;
using Glip.Managed.Weights;
using Glip.Tests.Weights;
using Glip.Tests.Weights.Torch;
using Glip.WeightsTools;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Weights.Fuzz;

/// <summary>Damaged checkpoints and model files.</summary>
internal sealed class DamagedFiles
{
    private static readonly byte[] s_telling =
    [
        0, 1, 2, 4, 0x7F, 0x80, 0xFF, .. "PK()[]{}.0123456789\",:eatuqQRbchjJKMNXG"u8, 0x81, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x92, 0x93, 0x94, 0x95,
    ];

    private readonly List<Seed> _seeds = [];
    private readonly Damage _damage;

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
        _damage = new Damage([.. _seeds.Select(s => s.Bytes)], s_telling, sizeBytes: 4, Position);
    }

    /// <summary>Number of different files that are damaged.</summary>
    public int Seeds => _seeds.Count;

    /// <summary>Damaged file number <paramref name="number"/>.</summary>
    public byte[] Create(int number) => _seeds[number % _seeds.Count].Complete(_damage.Create(number, out _));

    /// <summary>The tiny model, packed for the one layout that every machine can load.</summary>
    private static byte[] Packed()
    {
        using var folder = new TempFolder();
        string packed = folder.File("packed");
        ModelPacker.Pack(folder.Write("model", ModelBytes()), SimdIsa.Scalar, packed);
        return File.ReadAllBytes(packed);
    }

    /// <summary>Tables stand at either end.</summary>
    private static int Position(Random random, int length) => random.Next(3) switch
    {
        0 => random.Next(Math.Min(400, length)),
        1 => length - 1 - random.Next(Math.Min(400, length)),
        _ => random.Next(length),
    };

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
