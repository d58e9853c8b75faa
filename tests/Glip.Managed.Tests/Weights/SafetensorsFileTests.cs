using System.Buffers.Binary;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed;
using Glip.Managed.Weights;

namespace Glip.Tests.Weights;

public class SafetensorsFileTests
{
    [Fact]
    public void Tensors_come_back_as_they_were_written()
    {
        Prop.ForAll(TensorLists().ToArbitrary(), tensors =>
        {
            using var folder = new TempFolder();
            string path = folder.File("x.safetensors");
            using (var writer = new SafetensorsWriter(path, [.. tensors.Select(t => t.Declaration)], [new("key \"1\"", "text ä\n")]))
            {
                foreach ((TensorDeclaration declaration, byte[] bytes) in tensors)
                    writer.Write(declaration.Name, bytes);
                writer.Commit();
            }

            using SafetensorsFile mapped = SafetensorsFile.Open(path);
            using SafetensorsFile inMemory = SafetensorsFile.FromMemory(File.ReadAllBytes(path), "memory");
            foreach (SafetensorsFile file in (SafetensorsFile[])[mapped, inMemory])
            {
                Assert.Equal("text ä\n", Assert.Single(file.Metadata, m => m.Key == "key \"1\"").Value);
                Assert.Equal(tensors.Length, file.Entries.Count);
                foreach ((TensorDeclaration declaration, byte[] bytes) in tensors)
                {
                    Assert.True(file.TryGetTensor(declaration.Name, out WeightTensor tensor));
                    Assert.Equal(declaration.Name, tensor.Name);
                    Assert.Equal(declaration.Type, tensor.Type);
                    Assert.Equal(declaration.Shape, tensor.Shape.ToArray());
                    Assert.Equal(bytes, tensor.Bytes.ToArray());
                }
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Scalars_and_empty_tensors_are_tensors()
    {
        byte[] bytes = Make(
            """
            {"scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
             "none":{"dtype":"I64","shape":[3,0,2],"data_offsets":[4,4]},
             "b":{"dtype":"BOOL","shape":[1],"data_offsets":[4,5]}}
            """,
            5);
        using SafetensorsFile file = SafetensorsFile.FromMemory(bytes, "x");

        Assert.True(file.TryGetTensor("scalar", out WeightTensor scalar));
        Assert.Equal(0, scalar.Shape.Length);
        Assert.Equal(4, scalar.Bytes.Length);
        Assert.True(file.TryGetTensor("none", out WeightTensor none));
        Assert.Equal([3, 0, 2], none.Shape.ToArray());
        Assert.True(none.Bytes.IsEmpty);
        Assert.False(file.TryGetTensor("other", out _));
    }

    [Fact]
    public void A_file_without_tensors_or_metadata_is_valid()
    {
        using SafetensorsFile file = SafetensorsFile.FromMemory(Make("{}   ", 0), "x");
        Assert.Empty(file.Entries);
        Assert.Empty(file.Metadata);
    }

    [Theory]
    [InlineData("[]", 0, "must be a JSON object, found an array")]
    [InlineData("{", 0, "not valid JSON")]
    [InlineData("{} x", 0, "not valid JSON")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""",
        8, "the name 'a' stands twice")]
    [InlineData("""{"__metadata__":3}""", 0, "__metadata__ must be a JSON object, found '3'")]
    [InlineData("""{"__metadata__":{"k":[]}}""", 0, "__metadata__ 'k' must be a text, found an array")]
    [InlineData("""{"__metadata__":{"k":"1","k":"2"}}""", 0, "__metadata__ 'k' stands twice")]
    [InlineData("""{"a":7}""", 0, "tensor 'a': expected a JSON object, found '7'")]
    [InlineData("""{"a":{"shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a': expected dtype, shape and data_offsets, dtype is missing")]
    [InlineData(
        """{"a":{"dtype":"F32","data_offsets":[0,4]}}""",
        4, "tensor 'a': expected dtype, shape and data_offsets, shape is missing")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "tensor 'a': expected dtype, shape and data_offsets, data_offsets is missing")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a': dtype stands twice")]
    [InlineData(
        """{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}""",
        1, "tensor 'a': dtype 'F8_E4M3' is not supported, expected one of F32, F16")]
    [InlineData("""{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a': dtype 'f32' is not supported")]
    [InlineData("""{"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a': dtype must be a text, found '4'")]
    [InlineData("""{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}""", 4, "tensor 'a': shape must be an array, found '1'")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""",
        4, "tensor 'a': shape must hold whole numbers 0..2147483647, found '-1'")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}""",
        4, "tensor 'a': shape must hold whole numbers 0..2147483647, found '1.5'")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[4294967296],"data_offsets":[0,4]}}""",
        4, "tensor 'a': shape must hold whole numbers 0..2147483647, found '4294967296'")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}""",
        4, "tensor 'a': shape must hold whole numbers 0..2147483647, found the text '1'")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[65536,65536],"data_offsets":[0,0]}}""",
        0, "tensor 'a': F32 [65536,65536] is over the limit")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[2147483647,2147483647,2147483647,2147483647,0],"data_offsets":[0,0]}}""",
        0, "tensor 'a': F32 [2147483647,2147483647,2147483647,2147483647,0] is over the limit")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""",
        4, "tensor 'a': F32 [2] needs 8 bytes, data_offsets [0,4] hold 4")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""",
        4, "tensor 'a': data_offsets must be [begin,end] with begin <= end, found [4,0]")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}""",
        4, "tensor 'a': data_offsets must be [begin,end], found 1 numbers")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""",
        4, "tensor 'a': data_offsets must be two whole numbers that are not negative, found '8'")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}""",
        4, "tensor 'a': data_offsets must be two whole numbers that are not negative, found '-4'")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":"0"}}""",
        4, "tensor 'a': data_offsets must be an array, found the text '0'")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}""",
        6, "tensor 'b': expected to begin at byte 4, the end of tensor 'a', found 2: an overlap")]
    [InlineData(
        """{"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""",
        12, "tensor 'b': expected to begin at byte 4, the end of tensor 'a', found 8: a gap")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""",
        8, "tensor 'a': expected to begin at byte 0, the start of the data, found 4: a gap")]
    [InlineData(
        """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""",
        7, "truncated: tensor 'a' ends at byte 8 of the data, the file has 7")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 9, "5 bytes follow the last tensor, expected none")]
    [InlineData("""{"a\u000ab\ud800":3}""", 0, "not valid JSON")]
    public void What_is_off_is_named(string header, int dataBytes, string message)
    {
        var e = Assert.Throws<GlipFormatException>(() => SafetensorsFile.FromMemory(Make(header, dataBytes), "x.safetensors"));
        Assert.StartsWith("x.safetensors: ", e.Message, StringComparison.Ordinal);
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Header_text_that_is_not_UTF8_is_refused()
    {
        byte[] bytes = Make("""{"__metadata__":{"k":"?"}}""", 0);
        bytes[Array.IndexOf(bytes, (byte)'?')] = 0xFF;
        Refusal.Expect<GlipFormatException>("not valid JSON", () => SafetensorsFile.FromMemory(bytes, "x"));
    }

    [Fact]
    public void Names_in_messages_are_short_and_on_one_line()
    {
        string name = new string('n', 1000) + "\\n";
        string message = Assert.Throws<GlipFormatException>(() => SafetensorsFile.FromMemory(Make($$"""{"\n{{name}}":3}""", 0), "x")).Message;
        Assert.True(message.Length < 300);
        Assert.DoesNotContain('\n', message);
        Assert.Contains("'\\u000an", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_truncation_is_noticed()
    {
        byte[] whole = Make("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8);
        for (int length = 0; length < whole.Length; length++)
        {
            Refusal.Expect<GlipFormatException>("truncated", () => SafetensorsFile.FromMemory(whole.AsMemory(0, length), "x"));
        }
    }

    [Fact]
    public void An_empty_file_is_truncated()
    {
        using var folder = new TempFolder();
        string path = folder.Write("empty", []);
        Refusal.Expect<GlipFormatException>("truncated", () => SafetensorsFile.Open(path));
    }

    [Theory]
    [InlineData("PK\u0003\u0004\u0000\u0000\u0008\u0008 and so on", "zip archive, probably a PyTorch checkpoint")]
    [InlineData("\u0080\u0002\u008a\u000al\u00fc\u009cF\u00f9", "Python pickle, probably an old PyTorch checkpoint")]
    [InlineData("\u0089PNG\r\n\u001a\n", "not a safetensors file: it would have a header of")]
    public void Other_kinds_of_files_are_recognised(string start, string message)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(start);
        Refusal.Expect<GlipFormatException>(message, () => SafetensorsFile.FromMemory(bytes, "x.pth"));
    }

    [Fact]
    public void A_header_whose_length_looks_like_a_pickle_is_read()
    {
        // 0x0280: the first two bytes are those of a pickle of protocol 2.
        byte[] bytes = Make("{}".PadRight(0x280), 0);
        Assert.Equal((0x80, 2), (bytes[0], bytes[1]));
        using SafetensorsFile file = SafetensorsFile.FromMemory(bytes, "x");
        Assert.Empty(file.Entries);
    }

    [Fact]
    public void Damaged_files_throw_nothing_but_GlipFormatException()
    {
        byte[] whole = Make(
            """
            {"__metadata__":{"k":"v"},
             "a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
             "b":{"dtype":"U8","shape":[],"data_offsets":[24,25]}}
            """,
            25);
        int refused = 0;
        for (int seed = 0; seed < 2000; seed++)
        {
            byte[] damaged = Mutation.Of(whole, seed, ..^25);
            try
            {
                using SafetensorsFile file = SafetensorsFile.FromMemory(damaged, "x");
                foreach (SafetensorsEntry entry in file.Entries)
                    Assert.True(file.TryGetTensor(entry.Name, out WeightTensor tensor) && tensor.Bytes.Length == entry.ByteCount);
            }
            catch (GlipFormatException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 1000, 2000);
    }

    [Fact]
    public void A_closed_file_hands_out_nothing()
    {
        using var folder = new TempFolder();
        string path = folder.Write("x", Make("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1));
        SafetensorsFile file = SafetensorsFile.Open(path);
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => { _ = file.TryGetTensor("a", out _); });
    }

    /// <summary>A file with this header and as many zero bytes of data.</summary>
    private static byte[] Make(string header, int dataBytes)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        var bytes = new byte[8 + json.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)json.Length);
        json.CopyTo(bytes, 8);
        return bytes;
    }

    private static Gen<(TensorDeclaration Declaration, byte[] Bytes)[]> TensorLists()
    {
        Gen<(TensorDeclaration, byte[])> tensor =
            from name in Gen.Elements("a", "b.weight", "ü\"\\", "__metadata", "x y", "").Zip(Gen.Choose(0, 1000))
            from type in Gen.Elements(Enum.GetValues<TensorType>())
            from rank in Gen.Choose(0, 4)
            from shape in Gen.Choose(0, 4).ArrayOf(rank)
            from bytes in Gen.Choose(0, 255).Select(b => (byte)b).ArrayOf(type.ByteCount(shape))
            select (new TensorDeclaration($"{name.Item1}{name.Item2}", type, shape), bytes);
        return tensor.ListOf().Select(list => list.DistinctBy(t => t.Item1.Name).ToArray());
    }
}
