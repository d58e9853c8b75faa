using System.IO.Compression;
using System.Text;
using Glip.Managed.Weights;
using Glip.Tests.Weights;
using Glip.Tests.Weights.Torch;

namespace Glip.Weights.Fuzz;

/// <summary>A file that wants to do harm, and what the message that refuses it must contain.</summary>
internal sealed record MaliciousFile(string Name, byte[] Bytes, string Reason);

/// <summary>Checkpoints that would run commands, fill the memory or never end in a reader that trusts them.</summary>
internal static class MaliciousFiles
{
    private const string One = "\u0001";

    /// <summary>Names whose call does harm.</summary>
    private static readonly (string Module, string Name)[] s_globals =
    [
        ("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "popen"), ("os", "execv"), ("subprocess", "Popen"), ("subprocess", "check_output"),
        ("builtins", "eval"), ("builtins", "exec"), ("builtins", "compile"), ("builtins", "getattr"), ("builtins", "__import__"), ("builtins", "open"),
        ("__builtin__", "eval"), ("__builtin__", "apply"), ("importlib", "import_module"), ("runpy", "_run_code"), ("pty", "spawn"), ("webbrowser", "open"),
        ("operator", "attrgetter"), ("functools", "partial"), ("copyreg", "_reconstructor"), ("types", "FunctionType"), ("ctypes", "CDLL"), ("socket", "create_connection"),
        ("pickle", "loads"), ("marshal", "loads"), ("torch", "load"), ("torch.hub", "load"), ("torch.storage", "_load_from_bytes"), ("torch.jit", "load"),
        ("torch._utils", "_rebuild_xla_tensor"), ("numpy", "load"), ("numpy.testing._private.utils", "runstring"), ("collections", "namedtuple"), ("bdb", "Bdb"),
    ];

    /// <param name="argument">What to run, were anything run: a command that leaves a trace.</param>
    public static IEnumerable<MaliciousFile> All(string argument)
    {
        foreach ((string module, string name) in s_globals)
        {
            string full = $"'{module}.{name}'";
            yield return Zip($"{module}.{name} called", Whole(p => p.Global(module, name).Text(argument).Op("\u0085R")), full);
            yield return Zip($"{module}.{name} by STACK_GLOBAL", Whole(p => p.Text(module).Text(name).Op("\u0093").Text(argument).Op("\u0085R")), full);
        }

        foreach (MaliciousFile file in Tricks(argument).Concat(Bombs()).Concat(Archives()).Concat(Safetensors()))
            yield return file;
    }

    /// <summary>Other ways to the same end.</summary>
    private static IEnumerable<MaliciousFile> Tricks(string argument)
    {
        const string system = "'os.system'";
        yield return Zip("instance of a class", Whole(p => p.Op("(").Text(argument).Op("ios\nsystem\n")), system);
        yield return Zip("object of a class", Whole(p => p.Op("(cos\nsystem\n").Text(argument).Op("o")), system);
        yield return Zip("new object", Whole(p => p.Global("os", "system").Text(argument).Op("\u0085\u0081")), system);
        yield return Zip("new object with keywords", Whole(p => p.Global("os", "system").Text(argument).Op("\u0085}\u0092")), system);
        yield return Zip("through the memo", Whole(p => p.Global("os", "system").Op("q\u0001" + "0h\u0001").Text(argument).Op("\u0085R")), system);
        yield return Zip("before the protocol's end", new PickleBuilder().Global("os", "system").Text(argument).Op("\u0085R0}").End(), system);
        yield return Zip("as the type of a storage", Whole(p => p.Op("(").Text("storage").Global("os", "system").Text("0").Text("cpu").Op("K" + One + "tQ")), system);
        yield return Zip("as a persistent module", Whole(p => p.Op("(").Text("module").Global("collections", "OrderedDict").Text("x.py").Text(argument).Op("tQ")), "storage reference");
        yield return Zip("as a hook", Whole(p => p.Global("torch._utils", "_rebuild_parameter").Op("N\u0089").Global("os", "system").Op("\u0087R")), system);
        yield return Zip("in the optimiser", new PickleBuilder().Op("}(").Text("model").Op("}").Text("optimizer").Global("os", "system").Text(argument).Op("\u0085Ru").End(), system);
        yield return Zip("by a number of a registry", Whole(p => p.Op("\u0082" + One)), "opcode 0x82");
        yield return Zip("state that runs", Whole(p => p.Global("collections", "OrderedDict").Op(")R").Global("os", "system").Text(argument).Op("\u0085Rb")), system);
        yield return Zip("rebuilt by something else", Whole(p => p.Global("torch._tensor", "_rebuild_from_type_v2").Op("(").Global("torch.nn.parameter", "Parameter").Global("torch", "Tensor").Op("N\u0085NtR")), "arguments that torch does not write");
        yield return Zip("a dotted name", Whole(p => p.Global("torch", "serialization.os.system").Text(argument).Op("\u0085R")), "'torch.serialization.os.system'");
        yield return Zip("a name with line feeds", Whole(p => p.Text("o\ns").Text("system").Op("\u0093)R")), "'o\\u000as.system'");
        yield return new MaliciousFile("before 1.6", LegacyFile.Write(Whole(p => p.Global("os", "system").Text(argument).Op("\u0085R"))), system);
        yield return new MaliciousFile("a bare pickle", Whole(p => p.Global("os", "system").Text(argument).Op("\u0085R")), system);
    }

    /// <summary>Small files that mean to become large, or never to end.</summary>
    private static IEnumerable<MaliciousFile> Bombs()
    {
        const string twice = "2\u0086";
        yield return Zip("tuples that double", Whole(p => p.Op("N" + string.Concat(Enumerable.Repeat(twice, 500)))), "unfold into more than");
        yield return Zip("lists that double", Whole(p => Doubling(p.Op("]q\u0000"))), "unfold into more than");
        yield return Zip("a list that holds itself", Whole(p => p.Op("]q\u0000h\u0000a")), "a container holds itself");
        yield return Zip("a dict that holds itself", Whole(p => p.Op("}q\u0000K" + One + "h\u0000s")), "a container holds itself");
        yield return Zip("a memo that is empty", Whole(p => p.Op("h\u0007")), "memo 7 is read before it is written");
        yield return Zip("deep tuples", Whole(p => p.Op("]" + new string('\u0085', 400_000))), "nested deeper than 1000");
        yield return Zip("deep marks", Whole(p => p.Op(new string('(', 400_000))), "nested deeper than 1000");
        yield return Zip("opcodes without end", Whole(p => p.Op("N" + new string('2', 2_000_000))), "more than 1000000 opcodes");
        yield return Zip("a million memos", Whole(p => p.Op("N" + new string('\u0094', 2_000_000))), "more than 1000000 opcodes");
        yield return Zip("a text of 4 GB", Whole(p => p.Op("X\u00ff\u00ff\u00ff\u00ff")), "a text of 4294967295 bytes");
        yield return Zip("bytes of 2 GB", Whole(p => p.Op("\u008e\u00ff\u00ff\u00ff\u007f\u0000\u0000\u0000\u0000")), "the pickle is truncated");
        yield return Zip("a tensor of many dimensions", Whole(p => p.Tensor("FloatStorage", "0", 1, 0, [.. Enumerable.Repeat(1L, 1000)], [.. Enumerable.Repeat(1L, 1000)])), "expected at most 64");

        // A parameter that repeats one element.
        (string name, int[] shape) = (TinyModel.Tensors()[0].Name, TinyModel.Tensors()[0].Shape);
        yield return Zip(
            "a tensor beyond all sizes",
            Model((n, p) => p.Text(n).Tensor("FloatStorage", "0", 1, 0, [int.MaxValue, int.MaxValue, 1, 1], [0, 0, 0, 0])),
            "found [2147483647,2147483647,1,1]");
        yield return Zip(
            "a view beyond its storage",
            Model((n, p) => p.Text(n).Tensor("FloatStorage", "0", 1, 1L << 60, [.. shape.Select(d => (long)d)], [1L << 60, 1, 1, 1])),
            "of a storage that has 1");
    }

    /// <summary>Archives that lie.</summary>
    private static IEnumerable<MaliciousFile> Archives()
    {
        byte[] pickle = Whole(p => p.Op("N"));
        yield return new MaliciousFile("a zip bomb", CheckpointBuilder.Zip(CompressionLevel.Optimal, "r", ("data.pkl", new byte[50_000_000])), "is compressed (method 8)");
        yield return new MaliciousFile("entries that overlap", RawZip.Write(true, new RawEntry("r/data.pkl", pickle), new RawEntry("r/data/0", new byte[9]) { Offset = 1 }), "overlaps another");
        yield return new MaliciousFile("one entry, many names", RawZip.Write(false, [new RawEntry("r/data.pkl", pickle), .. Enumerable.Range(0, 100).Select(i => new RawEntry($"r/data/{i}", []) { Offset = 0 })]), "overlaps another");
        yield return new MaliciousFile("two pickles", RawZip.Write(true, new RawEntry("r/data.pkl", pickle), new RawEntry("s/data.pkl", pickle)), "found several");
        yield return new MaliciousFile("an entry twice", RawZip.Write(true, new RawEntry("r/data.pkl", pickle), new RawEntry("r/data.pkl", pickle)), "stands twice");
        yield return new MaliciousFile("another header inside", RawZip.Write(true, new RawEntry("r/data.pkl", pickle) { LocalName = "r/data.pkt" }), "has another header");
        yield return new MaliciousFile("a checksum that is wrong", RawZip.Write(true, new RawEntry("r/data.pkl", pickle) { Checksum = 5 }), "its checksum differs");
        byte[] entries = RawZip.Write(true, new RawEntry("r/data.pkl", pickle));
        entries[entries.AsSpan().IndexOf("PK\u0006\u0006"u8) + 37] = 0x7F;
        yield return new MaliciousFile("more entries than bytes", entries, "entries, found");
    }

    private static IEnumerable<MaliciousFile> Safetensors()
    {
        yield return Header("a header of 2^63 bytes", [0, 0, 0, 0, 0, 0, 0, 0x80], "{", "would have a header of 9223372036854775808 bytes");
        yield return Header("deep JSON", null, "{\"a\":{\"x\":" + new string('[', 100_000), "not valid JSON");
        yield return Header("a shape that overflows", null, """{"a":{"dtype":"F32","shape":[65536,65536,65536,65536],"data_offsets":[0,0]}}""", "over the limit");
        yield return Header("tensors that overlap", null, """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", "an overlap", dataBytes: 4);
        yield return Header("names twice", null, """{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}""", "stands twice");
        yield return Header("a header of nulls", [100, 0, 0, 0, 0, 0, 0, 0], "{" + new string('\0', 99), "not valid JSON");
    }

    private static MaliciousFile Header(string name, byte[]? length, string json, string reason, int dataBytes = 0) =>
        new(name, [.. length ?? BitConverter.GetBytes((long)json.Length), .. Encoding.Latin1.GetBytes(json), .. new byte[dataBytes]], reason);

    /// <summary>A state dict with one value that <paramref name="value"/> pushes.</summary>
    private static byte[] Whole(Func<PickleBuilder, PickleBuilder> value) => value(new PickleBuilder().Op("}").Text("model").Op("}").Text("x")).Op("ss").End();

    /// <summary>A state dict of all parameters of the tiny model, the first pushed with its name by <paramref name="value"/>.</summary>
    private static byte[] Model(Func<string, PickleBuilder, PickleBuilder> value)
    {
        string first = TinyModel.Tensors()[0].Name;
        var pickle = new PickleBuilder().Op("}").Text("model").Op("}(");
        foreach (TinyModel.Tensor tensor in TinyModel.Tensors())
        {
            var strides = new long[tensor.Shape.Length];
            pickle = tensor.Name == first
                ? value(tensor.Name, pickle)
                : pickle.Text(tensor.Name).Tensor("FloatStorage", "0", 1, 0, [.. tensor.Shape.Select(d => (long)d)], strides);
        }

        return pickle.Op("us").End();
    }

    private static PickleBuilder Doubling(PickleBuilder pickle)
    {
        for (int i = 0; i < 300; i++)
            pickle.Op("0](h\u0000h\u0000eq\u0000");
        return pickle;
    }

    private static MaliciousFile Zip(string name, byte[] pickle, string reason) =>
        new(name, RawZip.Write(true, new RawEntry("archive/data.pkl", pickle), new RawEntry("archive/data/0", new byte[4])), reason);
}
