using System.Buffers.Binary;
using Glip.Managed.Weights;

namespace Glip.Tests.Weights;

public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_data_begin_at_a_multiple_of_eight()
    {
        for (int length = 1; length < 20; length++)
        {
            string path = _folder.File("x");
            using (var writer = new SafetensorsWriter(path, [new(new string('n', length), TensorType.U8, [1])], []))
            {
                writer.Write(new string('n', length), [7]);
                writer.Commit();
            }

            byte[] bytes = File.ReadAllBytes(path);
            Assert.Equal(1, bytes.Length % 8);
            Assert.Equal((ulong)bytes.Length - 9, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }
    }

    [Fact]
    public void An_existing_file_stays_until_the_new_one_is_whole()
    {
        string path = _folder.Write("x", [1, 2, 3]);
        using (var writer = new SafetensorsWriter(path, [new("a", TensorType.U8, [1])], []))
        {
            writer.Write("a", [7]);
            Assert.Equal([1, 2, 3], File.ReadAllBytes(path));
            writer.Commit();
        }

        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.True(file.TryGetTensor("a", out _));
        Assert.Equal(["x"], _folder.Files);
    }

    [Fact]
    public void Nothing_is_left_without_commit()
    {
        using (var writer = new SafetensorsWriter(_folder.File("x"), [new("a", TensorType.U8, [1])], []))
        {
            writer.Write("a", [7]);
            Assert.Single(_folder.Files);
        }

        Assert.Empty(_folder.Files);
    }

    [Fact]
    public void Nothing_is_left_when_the_target_cannot_be_replaced()
    {
        using (var writer = new SafetensorsWriter(_folder.File("folder"), [], []))
        {
            Directory.CreateDirectory(_folder.File("folder"));
            Assert.ThrowsAny<SystemException>(writer.Commit);
        }

        Assert.Empty(_folder.Files);
        Refusal.Expect<IOException>("it is a folder", () => new SafetensorsWriter(_folder.File("folder"), [], []));
    }

    [Fact]
    public void Tensors_out_of_turn_or_of_another_size_are_refused()
    {
        using var writer = new SafetensorsWriter(_folder.File("x"), [new("a", TensorType.F32, [2]), new("b", TensorType.U8, [])], []);
        Refusal.Expect<ArgumentException>("next declared tensor is 'a', got 'b'", () => writer.Write("b", [1]));
        Refusal.Expect<ArgumentException>("'a': F32 [2] needs 8 bytes, got 9", () => writer.Write("a", new byte[9]));
        writer.Write("a", new byte[7]);
        Refusal.Expect<ArgumentException>("'a': F32 [2] needs 8 bytes, got 9", () => writer.Write("a", new byte[2]));
        Refusal.Expect<ArgumentException>("next declared tensor is 'a', got 'b'", () => writer.Write("b", [1]));
        Refusal.Expect<InvalidOperationException>("'a' was declared but not written, or not whole", writer.Commit);
        writer.Write("a", new byte[1]);
        Refusal.Expect<InvalidOperationException>("'b' was declared but not written", writer.Commit);
        writer.Write("b", [1]);
        Refusal.Expect<ArgumentException>("all 2 declared", () => writer.Write("c", [1]));
    }

    [Theory]
    [InlineData("b", 1, "'b' stands twice")]
    [InlineData("__metadata__", 1, "'__metadata__' stands twice or is reserved")]
    [InlineData("a", -1, "'a': shape [-1] is negative")]
    [InlineData("a", int.MaxValue, "'a': shape [2147483647] is negative or over")]
    public void Declarations_that_no_file_can_hold_are_refused(string name, int size, string message)
    {
        TensorDeclaration[] tensors = [new("b", TensorType.F32, [1]), new(name, TensorType.F32, [size])];
        Refusal.Expect<ArgumentException>(message, () => new SafetensorsWriter(_folder.File("x"), tensors, []));
        Assert.Empty(_folder.Files);
    }
}
