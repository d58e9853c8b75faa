using Glip.Managed;
using Glip.Managed.Weights;
using Glip.WeightsTools.Torch;

namespace Glip.Tests.Weights.Torch;

public class PickleReaderTests
{
    // value = [None, True, False, 1, 300, -5, 2**40, -2**40, -1.5, "ä", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {"k": [1]}]
    // print(pickle.dumps(value, protocol=p).hex())
    [Theory]
    [InlineData("80025D7100284E88894B014D2C014AFBFFFFFF8A060000000000018A060000000000FF47BFF80000000000005802000000C3A47101294B018571024B014B028671034B014B024B03877104284B014B024B034B047471055D71067D71077D710858010000006B71095D710A4B016173652E")] // protocol 2
    [InlineData("80035D7100284E88894B014D2C014AFBFFFFFF8A060000000000018A060000000000FF47BFF80000000000005802000000C3A47101294B018571024B014B028671034B014B024B03877104284B014B024B034B047471055D71067D71077D710858010000006B71095D710A4B016173652E")] // protocol 3
    [InlineData("8004955E000000000000005D94284E88894B014D2C014AFBFFFFFF8A060000000000018A060000000000FF47BFF80000000000008C02C3A494294B0185944B014B0286944B014B024B038794284B014B024B034B0474945D947D947D948C016B945D944B016173652E")] // protocol 4
    [InlineData("8005955E000000000000005D94284E88894B014D2C014AFBFFFFFF8A060000000000018A060000000000FF47BFF80000000000008C02C3A494294B0185944B014B0286944B014B024B038794284B014B024B034B0474945D947D947D948C016B945D944B016173652E")] // protocol 5
    public void Plain_values_of_all_protocols_are_read(string hex)
    {
        var list = Assert.IsType<PickleList>(PickleReader.Read(Convert.FromHexString(hex))).Items;

        Assert.Equal([null, true, false, 1L, 300L, -5L, 1L << 40, -(1L << 40), -1.5, "ä"], list[..10]);
        Assert.Equal([0, 1, 2, 3, 4], list[10..15].Select(t => Assert.IsType<PickleTuple>(t).Items.Length));
        Assert.Empty(Assert.IsType<PickleList>(list[15]).Items);
        Assert.Empty(Assert.IsType<PickleDict>(list[16]).Pairs);
        Assert.True(Assert.IsType<PickleDict>(list[17]).TryGet("k", out object? value));
        Assert.Equal([1L], Assert.IsType<PickleList>(value).Items);
    }

    [Fact]
    public void The_last_of_equal_keys_counts()
    {
        byte[] pickle = new PickleBuilder().Op("}(").Text("a").Op("K\u0001").Text("b").Op("N").Text("a").Op("K\u0002u").End();
        var dict = Assert.IsType<PickleDict>(PickleReader.Read(pickle));
        Assert.True(dict.TryGet("a", out object? value));
        Assert.Equal(2L, value);
        Assert.False(dict.TryGet("c", out _));
    }

    [Fact]
    public void The_memo_gives_the_same_object_again()
    {
        byte[] pickle = new PickleBuilder().Op("](]q\u0005h\u0005e").End();
        var list = Assert.IsType<PickleList>(PickleReader.Read(pickle)).Items;
        Assert.Same(list[0], list[1]);
    }

    [Theory]
    [InlineData("]q\u0000h\u0000a.")] // directly
    [InlineData("]q\u0000}K\u0001h\u0000s\u0085a.")] // through a dict and a tuple
    public void Containers_that_hold_themselves_are_refused(string opcodes) =>
        Refusal.Expect<GlipFormatException>("a container holds itself", () => PickleReader.Read(new PickleBuilder().Op(opcodes).End()));

    [Fact]
    public void Nested_containers_are_refused_beyond_a_depth()
    {
        byte[] deep = new PickleBuilder().Op("]" + new string('\u0085', 1_500)).End();
        Refusal.Expect<GlipFormatException>("containers are nested deeper than 1000", () => PickleReader.Read(deep));
    }

    [Theory]
    [InlineData("os", "system")]
    [InlineData("posix", "system")]
    [InlineData("builtins", "eval")]
    [InlineData("__builtin__", "exec")]
    [InlineData("builtins", "getattr")]
    [InlineData("subprocess", "Popen")]
    [InlineData("torch.storage", "_load_from_bytes")]
    [InlineData("torch._utils", "_rebuild_tensor_v9")]
    [InlineData("collections", "OrderedDict.__init__")]
    public void Names_that_are_not_allowed_are_refused_by_name(string module, string name)
    {
        byte[] call = new PickleBuilder().Global(module, name).Op("(").Text("echo run").Op("tR").End();
        byte[] stackGlobal = new PickleBuilder().Text(module).Text(name).Op("\u0093(").Text("echo run").Op("tR").End();
        foreach (byte[] pickle in (byte[][])[call, stackGlobal])
        {
            Refusal.Expect<GlipFormatException>($"'{module}.{name}'", () => PickleReader.Read(pickle));
        }
    }

    [Theory]
    [InlineData("", "truncated")]
    [InlineData(".", "the stack is empty")]
    [InlineData("0.", "the stack is empty")]
    [InlineData("N(00.", "the stack is empty")]
    [InlineData("(N0t0t.", "a mark is missing")]
    [InlineData("t.", "a mark is missing")]
    [InlineData("N(0t.", "a mark is missing")]
    [InlineData("h\u0007.", "memo 7 is read before it is written")]
    [InlineData("N)R.", "cannot be called")]
    [InlineData("ctorch\nfloat32\n)R.", "cannot be called")]
    [InlineData("ccollections\nOrderedDict\n]R.", "cannot be called")]
    [InlineData("ccollections\nOrderedDict\nN\u0085R.", "'collections.OrderedDict' has arguments")]
    [InlineData("ctorch\nSize\n)R.", "'torch.Size' has arguments")]
    [InlineData("ctorch._utils\n_rebuild_tensor_v2\n)R.", "'torch._utils._rebuild_tensor_v2' has arguments")]
    [InlineData("ctorch._utils\n_rebuild_parameter\n)R.", "'torch._utils._rebuild_parameter' has arguments")]
    [InlineData("NQ.", "storage reference")]
    [InlineData("NNa.", "not a list")]
    [InlineData("]NNs.", "not a dict")]
    [InlineData("}(Nu.", "a key without a value")]
    [InlineData("NNb.", "attributes are set")]
    [InlineData("NN\u0093.", "expected a module and a name")]
    [InlineData("X\u00ff\u00ff\u00ff\u00ff.", "a text of 4294967295 bytes")]
    [InlineData("X\u00ff\u0000\u0000\u0000.", "truncated: 255 more bytes expected")]
    [InlineData("\u008a\u00ff.", "truncated: 255 more bytes expected")]
    [InlineData("cos", "a name does not end")]
    [InlineData("ios\nsystem\n", "'os.system'")]
    [InlineData("(icollections\nOrderedDict\n", "opcode 0x69 is not supported")]
    [InlineData("\u0082\u0001.", "opcode 0x82 is not supported")]
    [InlineData("ccollections\nOrderedDict\n)}NNs\u0092.", "a call with keywords")]
    [InlineData("ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._tensor\n_rebuild_from_type_v2\nctorch\nTensor\n)NtR.", "'torch._tensor._rebuild_from_type_v2' has arguments")]
    [InlineData("(X\u0007\u0000\u0000\u0000storagectorch\nFloatStorage\nX\u0001\u0000\u0000\u00000X\u0000\u0000\u0000\u0000K\u0004(X\u0000\u0000\u0000\u0000K\u0003K\u0002ttQ.", "storage '0' is a view that does not fit its 4 elements")]
    public void Broken_programs_are_refused(string opcodes, string message)
    {
        byte[] pickle = new PickleBuilder().Op(opcodes).End()[..^1];
        var e = Assert.Throws<GlipFormatException>(() => PickleReader.Read(pickle));
        Assert.StartsWith("at byte ", e.Message, StringComparison.Ordinal);
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Deep_nesting_is_refused()
    {
        byte[] pickle = new PickleBuilder().Op(new string('(', 100_000)).End();
        Refusal.Expect<GlipFormatException>("nested deeper than 1000", () => PickleReader.Read(pickle));
    }

    [Fact]
    public void Endless_programs_are_refused()
    {
        byte[] pickle = new PickleBuilder().Op("N").Op(new string('2', 1_500_000)).End();
        Refusal.Expect<GlipFormatException>("more than 1000000 opcodes", () => PickleReader.Read(pickle));
    }

    [Fact]
    public void Tuples_that_unfold_without_end_are_refused()
    {
        // Each tuple holds the one before it twice: 2^300 values, were they ever visited.
        var builder = new PickleBuilder().Op("N");
        for (int i = 0; i < 300; i++)
            builder.Op("2\u0086");
        Refusal.Expect<GlipFormatException>("unfold into more than 4000000 values", () => PickleReader.Read(builder.End()));
    }

    [Fact]
    public void Shared_values_are_no_reason_to_refuse()
    {
        byte[] pickle = new PickleBuilder().Op("](N\u0085q\u0005h\u0005h\u0005\u0086e").End();
        Assert.Equal(2, Assert.IsType<PickleList>(PickleReader.Read(pickle)).Items.Count);
    }

    [Theory]
    [InlineData("FloatStorage", TensorType.F32)]
    [InlineData("HalfStorage", TensorType.F16)]
    [InlineData("BFloat16Storage", TensorType.BF16)]
    [InlineData("DoubleStorage", TensorType.F64)]
    [InlineData("LongStorage", TensorType.I64)]
    [InlineData("IntStorage", TensorType.I32)]
    [InlineData("ShortStorage", TensorType.I16)]
    [InlineData("CharStorage", TensorType.I8)]
    [InlineData("ByteStorage", TensorType.U8)]
    [InlineData("BoolStorage", TensorType.Bool)]
    public void Storage_classes_say_the_type(string storage, object type)
    {
        byte[] pickle = new PickleBuilder().Tensor(storage, "k", 12, 3, [2, 2], [2, 1]).End();
        var tensor = Assert.IsType<TorchTensor>(PickleReader.Read(pickle));
        Assert.Equal(new TorchStorage("k", (TensorType)type, 12), tensor.Storage);
        Assert.Equal(3, tensor.Offset);
        Assert.Equal([2, 2], tensor.Shape);
        Assert.Equal([2L, 1L], tensor.Strides);
    }

    [Fact]
    public void What_trainers_store_beside_the_weights_is_read_over()
    {
        byte[] pickle = new PickleBuilder()
            .Op("}(")
            .Text("device").Global("torch", "device").Text("cuda").Op("K\u0000\u0086R")
            .Text("best").Global("numpy.core.multiarray", "scalar").Global("numpy", "dtype").Text("f8").Op("\u0089\u0088\u0087R")
            .Op("(K\u0003").Text("<").Op("NNNJ\u00ff\u00ff\u00ff\u00ffJ\u00ff\u00ff\u00ff\u00ffK\u0000tb")
            .Global("_codecs", "encode").Text("abc").Text("latin1").Op("\u0086R\u0086R")
            .Text("milestones").Global("collections", "Counter").Op("}\u0085R")
            .Text("done").Global("builtins", "set").Op("]\u0085R")
            .Text("shape").Global("torch", "Size").Op("K\u0001\u0085\u0085R")
            .Text("dtype").Global("torch", "float32")
            .Text("groups").Global("collections", "defaultdict").Global("builtins", "list").Op("\u0085RNNs")
            .Text("seed").Op("\u008a\u0009").Op("\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0001")
            .Op("u").End();
        Assert.Equal(8, Assert.IsType<PickleDict>(PickleReader.Read(pickle)).Pairs.Count);
    }

    [Fact]
    public void An_ordered_dict_may_be_made_of_pairs_and_have_attributes()
    {
        byte[] pickle = new PickleBuilder()
            .Global("collections", "OrderedDict").Op("](").Op("](").Text("a").Op("K\u0001e").Text("b").Op("N\u0086e\u0085R")
            .Op("}").Text("_metadata").Op("Nsb").End();
        Assert.Equal(["a", "b"], Assert.IsType<PickleDict>(PickleReader.Read(pickle)).Pairs.Select(p => p.Key));
    }

    [Fact]
    public void Protocols_0_and_6_are_refused()
    {
        Refusal.Expect<GlipFormatException>("protocol 2 to 5", () => PickleReader.Read("(dp0\n."u8.ToArray()));
        Refusal.Expect<GlipFormatException>("protocol 2 to 5", () => PickleReader.Read(new byte[] { 0x80, 6, (byte)'N', (byte)'.' }));
    }

    [Fact]
    public void Damaged_pickles_throw_nothing_but_GlipFormatException()
    {
        using var archive = System.IO.Compression.ZipFile.OpenRead(TestData.Path("micro_b", "micro_b.pth"));
        using var content = new MemoryStream();
        using (Stream entry = archive.GetEntry("micro_b/data.pkl")!.Open())
            entry.CopyTo(content);
        int refused = 0;
        for (int seed = 0; seed < 500; seed++)
        {
            byte[] damaged = Mutation.Of(content.ToArray(), seed, ..);
            try
            {
                _ = PickleReader.Read(damaged);
            }
            catch (GlipFormatException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 100, 500);
    }
}
