using System.Buffers.Binary;
using System.Text;

namespace Glip.Tests.Weights.Torch;

/// <summary>Writes pickles opcode by opcode, as Python's protocol 2 would, and as it never would.</summary>
internal sealed class PickleBuilder
{
    private readonly List<byte> _bytes = [0x80, 2];

    public byte[] End() => [.. _bytes, (byte)'.'];

    /// <summary>Opcodes as characters, <c>}</c> for an empty dict.</summary>
    public PickleBuilder Op(string opcodes)
    {
        _bytes.AddRange(Encoding.Latin1.GetBytes(opcodes));
        return this;
    }

    public PickleBuilder Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        return Op("X").Raw4(utf8.Length).Op(Encoding.Latin1.GetString(utf8));
    }

    /// <summary>A whole number of any size, LONG1.</summary>
    public PickleBuilder Number(long value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        _bytes.AddRange([0x8A, 8, .. bytes]);
        return this;
    }

    public PickleBuilder Global(string module, string name) => Op($"c{module}\n{name}\n");

    public PickleBuilder Tuple(params long[] values)
    {
        _ = Op("(");
        foreach (long value in values)
            _ = Number(value);
        return Op("t");
    }

    /// <summary>A call of torch's <c>_rebuild_tensor_v2</c>.</summary>
    public PickleBuilder Tensor(string storageType, string key, long elements, long offset, long[] shape, long[] strides) =>
        Global("torch._utils", "_rebuild_tensor_v2")
            .Op("((").Text("storage").Global("torch", storageType).Text(key).Text("cuda:0").Number(elements).Op("tQ")
            .Number(offset).Tuple(shape).Tuple(strides).Op("\u0089").Global("collections", "OrderedDict").Op(")RtR");

    private PickleBuilder Raw4(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        _bytes.AddRange(bytes);
        return this;
    }
}
