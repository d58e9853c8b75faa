using System.IO.Compression;
using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed;
using Glip.WeightsTools.Tensors;
using static Glip.Tests.Weights.Torch.CheckpointBuilder;

namespace Glip.Tests.Weights.Torch;

public sealed class TorchCheckpointTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("archive", true, true)]
    [InlineData("some other name", true, false)]
    [InlineData("x", false, true)]
    [InlineData("x", false, false)]
    public void Weights_are_found_under_model_or_at_the_root_with_and_without_prefix(string root, bool underModel, bool prefixed)
    {
        var pickle = new PickleBuilder();
        if (underModel)
            pickle.Op("}(").Text("optimizer").Op("}").Text("model");
        pickle.Op("}").Text((prefixed ? "module." : "") + "a.weight").Tensor("FloatStorage", "0", 4, 0, [2, 2], [2, 1]).Op("s");
        if (underModel)
            pickle.Op("u");
        using TensorFile checkpoint = Open(Zip(root, ("data.pkl", pickle.End()), ("byteorder", "little"u8.ToArray()), ("data/0", Count(4))));

        Assert.Equal(["a.weight"], checkpoint.Names);
        Assert.Equal(underModel ? ["optimizer"] : [], checkpoint.SkippedSections);
        Assert.Equal([0f, 1, 2, 3], Floats(checkpoint, "a.weight"));
    }

    [Fact]
    public void Storages_that_nobody_asks_for_may_be_missing()
    {
        byte[] pickle = new PickleBuilder().Op("}(")
            .Text("optimizer").Op("}").Text("state").Tensor("FloatStorage", "999", 1L << 40, 0, [1 << 20, 1 << 20], [1 << 20, 1]).Op("s")
            .Text("model").Op("}").Text("a").Tensor("FloatStorage", "0", 1, 0, [1], [1]).Op("su").End();
        using TensorFile checkpoint = Open(Zip("r", ("data.pkl", pickle), ("data/0", Count(1))));
        Assert.Equal([0f], Floats(checkpoint, "a"));
    }

    [Fact]
    public void Views_are_gathered()
    {
        using TensorFile checkpoint = Open(Views(
            ("offset", 5, [2, 3], [3, 1]),
            ("transposed", 0, [3, 2], [1, 3]),
            ("row", 4, [1, 3], [99, 1]),
            ("column", 1, [4], [3]),
            ("repeated", 7, [2, 2], [0, 0]),
            ("inner", 0, [2, 2, 2], [6, 2, 1]),
            ("scalar", 11, [], []),
            ("none", 12, [0, 5], [5, 1])));

        Assert.Equal([5f, 6, 7, 8, 9, 10], Floats(checkpoint, "offset"));
        Assert.Equal([0f, 3, 1, 4, 2, 5], Floats(checkpoint, "transposed"));
        Assert.Equal([4f, 5, 6], Floats(checkpoint, "row"));
        Assert.Equal([1f, 4, 7, 10], Floats(checkpoint, "column"));
        Assert.Equal([7f, 7, 7, 7], Floats(checkpoint, "repeated"));
        Assert.Equal([0f, 1, 2, 3, 6, 7, 8, 9], Floats(checkpoint, "inner"));
        Assert.Equal([11f], Floats(checkpoint, "scalar"));
        Assert.Empty(Floats(checkpoint, "none"));
    }

    [Fact]
    public void Any_view_equals_plain_indexing()
    {
        Gen<(int Offset, int[] Shape, int[] Strides)> views =
            from rank in Gen.Choose(0, 4)
            from offset in Gen.Choose(0, 5)
            from shape in Gen.Choose(1, 3).ArrayOf(rank)
            from strides in Gen.Choose(0, 7).ArrayOf(rank)
            select (offset, shape, strides);
        Prop.ForAll(views.ToArbitrary(), view =>
        {
            int elements = 1 + view.Offset + view.Shape.Zip(view.Strides, (d, s) => (d - 1) * s).Sum();
            byte[] pickle = new PickleBuilder().Op("}").Text("t")
                .Tensor("FloatStorage", "0", elements, view.Offset, [.. view.Shape.Select(d => (long)d)], [.. view.Strides.Select(s => (long)s)]).Op("s").End();
            using TensorFile checkpoint = Open(Zip("r", ("data.pkl", pickle), ("data/0", Count(elements))));

            IEnumerable<int> expected = [view.Offset];
            foreach ((int size, int stride) in view.Shape.Zip(view.Strides))
                expected = expected.SelectMany(start => Enumerable.Range(0, size).Select(i => start + i * stride));
            Assert.Equal(expected.Select(i => (float)i), Floats(checkpoint, "t"));
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(12, new long[] { 1 }, new long[] { 1 }, "tensor 't': reaches from element 12 to 12 of a storage that has 12")]
    [InlineData(-1, new long[] { 1 }, new long[] { 1 }, "tensor 't': reaches from element -1 to -1")]
    [InlineData(0, new long[] { 3, 5 }, new long[] { 5, 1 }, "tensor 't': reaches from element 0 to 14")]
    [InlineData(0, new long[] { 2, 2 }, new long[] { long.MaxValue, long.MaxValue }, "tensor 't': reaches from element 0 to 18446744073709551614")]
    [InlineData(0, new long[] { 2 }, new long[] { -1 }, "tensor 't': expected 1 strides, none negative, found [-1]")]
    [InlineData(0, new long[] { 2, 2 }, new long[] { 1 }, "tensor 't': expected 2 strides, none negative, found [1]")]
    [InlineData(0, new long[] { 65536, 65536 }, new long[] { 0, 0 }, "tensor 't': [65536,65536] is over the limit")]
    public void Views_beyond_their_storage_are_refused(long offset, long[] shape, long[] strides, string message)
    {
        using TensorFile checkpoint = Open(Views(("t", offset, shape, strides)));
        Refusal.Expect<GlipFormatException>(message, () => checkpoint.Read("t"));
    }

    [Fact]
    public void A_storage_of_another_size_is_refused()
    {
        byte[] pickle = new PickleBuilder().Op("}").Text("t").Tensor("FloatStorage", "0", 3, 0, [3], [1]).Op("s").End();
        using TensorFile checkpoint = Open(Zip("r", ("data.pkl", pickle), ("data/0", Count(2))));
        Refusal.Expect<GlipFormatException>(
            "tensor 't': its storage '0' should have 3 elements of F32, found 8 bytes",
            () => checkpoint.Read("t"));
    }

    [Fact]
    public void A_missing_storage_is_named()
    {
        byte[] pickle = new PickleBuilder().Op("}").Text("t").Tensor("FloatStorage", "../0", 3, 0, [3], [1]).Op("s").End();
        using TensorFile checkpoint = Open(Zip("r", ("data.pkl", pickle), ("data/0", Count(3))));
        Refusal.Expect<GlipFormatException>("tensor 't': its storage '../0' is missing", () => checkpoint.Read("t"));
    }

    [Fact]
    public void Compressed_entries_are_refused()
    {
        byte[] zip = Zip(CompressionLevel.Optimal, "r", ("data.pkl", new PickleBuilder().Op("}").Op(new string('2', 10_000)).End()));
        Assert.Contains("entry 'r/data.pkl' is compressed (method 8)", Refused(zip), StringComparison.Ordinal);
    }

    [Fact]
    public void Big_endian_files_are_refused()
    {
        byte[] zip = Zip("r", ("data.pkl", new PickleBuilder().Op("}").End()), ("byteorder", "big"u8.ToArray()));
        Assert.Contains("byteorder must be 'little', found 'big'", Refused(zip), StringComparison.Ordinal);
    }

    [Fact]
    public void Other_files_are_named_for_what_they_are()
    {
        Assert.Contains("neither a PyTorch checkpoint nor a safetensors file", Refused("{}"u8.ToArray()), StringComparison.Ordinal);
        Assert.Contains("neither a PyTorch checkpoint nor a safetensors file", Refused([]), StringComparison.Ordinal);
        Assert.Contains("not one that PyTorch wrote: its magic number is missing", Refused([0x80, 2, (byte)'N', (byte)'.']), StringComparison.Ordinal);
        Assert.Contains("expected one data.pkl in the archive, found none", Refused(Zip("r", ("a.txt", [1]))), StringComparison.Ordinal);
        Assert.Contains(
            "damaged zip archive, or truncated",
            Refused(Zip("r", ("data.pkl", new PickleBuilder().Op("}").End()))[..^5]), StringComparison.Ordinal);
        Assert.Contains("expected a dict", Refused(Zip("r", ("data.pkl", new PickleBuilder().Op("]").End()))), StringComparison.Ordinal);
        Assert.Contains(
            "'model' is not a state dict",
            Refused(Zip("r", ("data.pkl", new PickleBuilder().Op("}").Text("model").Op("Ns").End()))), StringComparison.Ordinal);
    }

    [Fact]
    public void Malicious_pickles_are_refused_with_file_and_name()
    {
        byte[] pickle = new PickleBuilder().Op("}").Text("model").Global("os", "system").Text("id").Op("\u0085Rs").End();
        string message = Refused(Zip("r", ("data.pkl", pickle)));
        Assert.Contains("x.pth: data.pkl at byte ", message, StringComparison.Ordinal);
        Assert.Contains("'os.system'", message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_name_with_and_without_prefix_is_refused()
    {
        byte[] pickle = new PickleBuilder().Op("}(")
            .Text("a").Tensor("FloatStorage", "0", 1, 0, [1], [1])
            .Text("module.a").Tensor("FloatStorage", "0", 1, 0, [1], [1]).Op("u").End();
        Assert.Contains(
            "tensor 'a': stands twice",
            Refused(Zip("r", ("data.pkl", pickle), ("data/0", Count(1)))), StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_checkpoints_throw_nothing_but_GlipFormatException()
    {
        byte[] whole = Views(("a", 0, [3, 4], [4, 1]), ("b", 1, [2], [3]));
        int refused = 0;
        for (int seed = 0; seed < 1000; seed++)
        {
            try
            {
                using TensorFile checkpoint = Open(Mutation.Of(whole, seed, ..));
                foreach (string name in checkpoint.Names)
                    _ = checkpoint.Read(name);
            }
            catch (GlipFormatException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 500, 1000);
    }

    [Theory]
    [InlineData(false, "")]
    [InlineData(true, "")]
    [InlineData(true, "deep/er/")]
    public void Roots_of_any_name_and_64_bit_sizes_are_read(bool zip64, string root)
    {
        byte[] pickle = new PickleBuilder().Op("}").Text("t").Tensor("FloatStorage", "0", 3, 0, [3], [1]).Op("s").End();
        using TensorFile checkpoint = Open(RawZip.Write(zip64, new RawEntry(root + "data.pkl", pickle), new RawEntry(root + "data/0", Count(3))));
        Assert.Equal([0f, 1, 2], Floats(checkpoint, "t"));
    }

    [Fact]
    public void Storages_are_checked_against_their_checksums()
    {
        byte[] pickle = new PickleBuilder().Op("}").Text("t").Tensor("FloatStorage", "0", 3, 0, [3], [1]).Op("s").End();
        string path = _folder.Write("x.pth", RawZip.Write(true, new RawEntry("r/data.pkl", pickle), new RawEntry("r/data/0", Count(3)) { Checksum = 1 }));
        using (TensorFile checkpoint = TensorFile.Open(path))
            Refusal.Expect<GlipFormatException>("tensor 't': its storage '0' is damaged: the archive's checksum differs", () => checkpoint.Read("t"));
        using TensorFile trusted = TensorFile.Open(path, new TensorFileOptions { IgnoreChecksums = true });
        Assert.Equal([0f, 1, 2], Floats(trusted, "t"));
    }

    [Fact]
    public void The_pickle_is_checked_against_its_checksum()
    {
        byte[] zip = RawZip.Write(true, new RawEntry("r/data.pkl", new PickleBuilder().Op("}").End()) { Checksum = 1 });
        Assert.Contains("entry 'r/data.pkl' is damaged: its checksum differs", Refused(zip), StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_that_repeat_elements_beyond_the_files_size_are_refused()
    {
        using TensorFile checkpoint = Open(Views(("t", 0, [100_000, 100], [0, 0]), ("small", 3, [1000, 2], [0, 0])));
        Refusal.Expect<GlipFormatException>("tensor 't': [100000,100] has 40000000 bytes, more than the file's", () => checkpoint.Read("t"));
        Assert.All(Floats(checkpoint, "small"), value => Assert.Equal(3f, value));
    }

    [Fact]
    public void Files_of_before_1_6_are_read()
    {
        byte[] pickle = new PickleBuilder().Op("}").Text("model").Op("}(")
            .Text("module.a").Tensor("FloatStorage", "94", 12, 2, [2, 2], [1, 2])
            .Text("module.b").Tensor("LongStorage", "95", 2, 0, [2], [1])
            .Text("module.c").Tensor("FloatStorage", "94", 12, 11, [], []).Op("us").End();
        using TensorFile checkpoint = Open(LegacyFile.Write(pickle, ("94", 4, Count(12)), ("95", 8, new byte[16])));
        Assert.Equal(["a", "b", "c"], checkpoint.Names);
        Assert.Equal([2f, 4, 3, 5], Floats(checkpoint, "a"));
        Assert.Equal(new byte[16], checkpoint.Read("b"));
        Assert.Equal([11f], Floats(checkpoint, "c"));
    }

    [Fact]
    public void Storages_over_2_GB_are_read_where_a_tensor_looks()
    {
        const long Elements = 600_000_000;
        byte[] pickle = new PickleBuilder().Op("}").Text("t").Tensor("FloatStorage", "94", Elements, Elements - 2, [2], [1]).Op("s").End();
        byte[] head = LegacyFile.Write(pickle, ("94", 4, []));
        BitConverter.TryWriteBytes(head.AsSpan(^8..), Elements);
        using (var file = new FileStream(_folder.Write("x.pth", head), FileMode.Open))
        {
            file.SetLength(head.Length + (4 * Elements)); // a hole: takes no room on most disks
            file.Position = file.Length - 8;
            file.Write(Singles(5, 6));
        }

        using TensorFile checkpoint = TensorFile.Open(_folder.File("x.pth"));
        Assert.Equal([5f, 6], Floats(checkpoint, "t"));
    }

    [Fact]
    public void Storages_within_storages_of_before_1_6_are_read()
    {
        // ('storage', torch.FloatStorage, '94', 'cpu', 12, ('view', 5, 3))
        byte[] pickle = new PickleBuilder().Op("}").Text("t")
            .Global("torch._utils", "_rebuild_tensor").Op("((").Text("storage").Global("torch", "FloatStorage").Text("94").Text("cpu").Number(12)
            .Op("(").Text("view").Number(5).Number(3).Op("ttQ").Number(1).Tuple(2).Tuple(1).Op("tRs").End();
        using TensorFile checkpoint = Open(LegacyFile.Write(pickle, ("94", 4, Count(12))));
        Assert.Equal([6f, 7], Floats(checkpoint, "t"));
    }

    [Fact]
    public void Damage_in_files_of_before_1_6_is_named()
    {
        byte[] pickle = new PickleBuilder().Op("}").Text("t").Tensor("FloatStorage", "94", 3, 0, [3], [1]).Op("s").End();
        byte[] whole = LegacyFile.Write(pickle, ("94", 4, Count(3)));
        Assert.Contains("truncated: storage '94' has 3 elements of F32, 11 bytes are left", Refused(whole[..^1]), StringComparison.Ordinal);
        Assert.Contains("1 bytes follow the last storage", Refused([.. whole, 0]), StringComparison.Ordinal);
        Assert.Contains("list of storages at byte 0: the pickle is truncated", Refused(LegacyFile.Write(pickle)[..^6]), StringComparison.Ordinal);
        Assert.Contains("has one that no tensor uses", Refused(LegacyFile.Write(pickle, ("95", 4, Count(3)))), StringComparison.Ordinal);
        Assert.Contains("storage '94' stands twice", Refused(LegacyFile.Write(pickle, ("94", 4, Count(3)), ("94", 4, Count(3)))), StringComparison.Ordinal);
        Assert.Contains("expected little_endian", Refused(LegacyFile.BigEndian()), StringComparison.Ordinal);
        Assert.Contains("another version, expected 1001", Refused(LegacyFile.OfVersion(7)), StringComparison.Ordinal);
        byte[] evil = new PickleBuilder().Global("posix", "system").Text("id").Op("\u0085R").End();
        Assert.Contains("object at byte 16: the file refers to 'posix.system'", Refused(LegacyFile.Write(evil)), StringComparison.Ordinal);
    }

    [Fact]
    public void The_moving_average_is_taken_on_request()
    {
        byte[] pickle = new PickleBuilder().Op("}(")
            .Text("model").Op("}").Text("a").Tensor("FloatStorage", "0", 3, 0, [1], [1]).Op("s")
            .Text("model_ema").Op("}").Text("module.a").Tensor("FloatStorage", "0", 3, 2, [1], [1]).Op("su").End();
        string path = _folder.Write("x.pth", Zip("r", ("data.pkl", pickle), ("data/0", Count(3))));
        using (TensorFile weights = TensorFile.Open(path))
        {
            Assert.Equal([0f], Floats(weights, "a"));
            Assert.Equal(["model_ema"], weights.SkippedSections);
        }

        using TensorFile average = TensorFile.Open(path, new TensorFileOptions { UseEma = true });
        Assert.Equal([2f], Floats(average, "a"));
        Assert.Equal(["model"], average.SkippedSections);

        string without = _folder.Write("y.pth", Zip("r", ("data.pkl", new PickleBuilder().Op("}").Text("model").Op("}s").End())));
        Refusal.Expect<GlipFormatException>(
            "there is no moving average of the weights: expected one of model_ema",
            () => TensorFile.Open(without, new TensorFileOptions { UseEma = true }));
    }

    [Fact]
    public void Large_views_are_gathered_through_a_moving_window()
    {
        // 130 MB apart: more than the window holds.
        const int Elements = 35_000_000;
        using var storage = new FileStream(_folder.File("s"), FileMode.Create);
        storage.SetLength(4L * Elements);
        storage.Position = 4L * 34_000_000;
        storage.Write(Singles(1, 2, 3, 4));
        storage.Position = 4;
        storage.Write(Singles(8, 9));
        storage.Flush();
        using var file = new FileBytes(_folder.File("s"));
        using var view = new GatherStream(file, 4, 4L * 34_000_003, 4, [2, 2, 2], [1, 33_999_999, 1]);
        var found = new byte[32];
        view.ReadExactly(found);
        Assert.Equal([8f, 9, 1, 2, 9, 0, 2, 3], MemoryMarshal.Cast<byte, float>(found).ToArray());
        Assert.Equal(0, view.Read(found));
    }

    /// <summary>A checkpoint whose tensors all look into one storage of the numbers 0…11.</summary>
    private static byte[] Views(params (string Name, long Offset, long[] Shape, long[] Strides)[] views)
    {
        var pickle = new PickleBuilder().Op("}(");
        foreach ((string name, long offset, long[] shape, long[] strides) in views)
            pickle.Text(name).Tensor("FloatStorage", "0", 12, offset, shape, strides);
        return Zip("r", ("data.pkl", pickle.Op("u").End()), ("data/0", Count(12)), ("version", "3\n"u8.ToArray()));
    }

    private static float[] Floats(TensorFile checkpoint, string name) =>
        MemoryMarshal.Cast<byte, float>(checkpoint.Read(name)).ToArray();

    private TensorFile Open(byte[] bytes) => TensorFile.Open(_folder.Write("x.pth", bytes));

    private string Refused(byte[] bytes) => Assert.Throws<GlipFormatException>(() => Open(bytes)).Message;
}
