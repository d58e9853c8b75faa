using System.Buffers.Binary;

namespace Glip.Tests.Weights.Torch;

/// <summary>Checkpoints in the form that PyTorch wrote before 1.6: five pickles, then the storages.</summary>
internal static class LegacyFile
{
    /// <summary>0x1950a86a20f9469cfc6c</summary>
    private static readonly byte[] s_magic = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, (byte)'.'];

    private static readonly byte[] s_version = [0x80, 2, (byte)'M', 0xE9, 3, (byte)'.'];

    public static byte[] Write(byte[] pickle, params (string Key, int ElementSize, byte[] Bytes)[] storages)
    {
        var keys = new PickleBuilder().Op("](");
        foreach ((string key, _, _) in storages)
            keys.Text(key);
        return
        [
            .. s_magic,
            .. s_version,
            .. Machine(littleEndian: true),
            .. pickle,
            .. keys.Op("e").End(),
            .. storages.SelectMany(s => (byte[])[.. Long(s.Bytes.Length / s.ElementSize), .. s.Bytes]),
        ];
    }

    public static byte[] BigEndian() => [.. s_magic, .. s_version, .. Machine(littleEndian: false)];

    public static byte[] OfVersion(byte version) => [.. s_magic, 0x80, 2, (byte)'K', version, (byte)'.'];

    private static byte[] Machine(bool littleEndian) =>
        new PickleBuilder().Op("}(").Text("protocol_version").Op("M\u00e9\u0003").Text("little_endian").Op(littleEndian ? "\u0088" : "\u0089").Op("u").End();

    private static byte[] Long(long value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return bytes;
    }
}
