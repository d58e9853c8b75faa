using System.Text;
using Glip.Managed;
using Glip.WeightsTools.Tensors;
using Glip.WeightsTools.Torch;

namespace Glip.Tests.Weights.Torch;

public sealed class ZipDirectoryTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Entries_are_found_with_32_and_with_64_bit_sizes(bool zip64)
    {
        byte[] zip = RawZip.Write(zip64, new RawEntry("a/one", [1, 2, 3]), new RawEntry("a/ä", []), new RawEntry("b", [9]));
        using FileBytes file = Open(zip);
        IReadOnlyDictionary<string, ZipEntry> entries = ZipDirectory.Read(file);

        Assert.Equal(["a/one", "a/ä", "b"], entries.Values.OrderBy(e => e.Offset).Select(e => e.Name));
        Assert.Equal([1, 2, 3], file.Read(entries["a/one"].Offset, (int)entries["a/one"].Length));
        Assert.Equal(0, entries["a/ä"].Length);
        Assert.Equal([9], file.Read(entries["b"].Offset, (int)entries["b"].Length));
        Assert.Equal(Crc32.Append(0, [1, 2, 3]), entries["a/one"].Checksum);
    }

    [Fact]
    public void A_comment_at_the_end_is_allowed()
    {
        byte[] zip = RawZip.Write(false, new RawEntry("a", [1]));
        zip[^2] = 5;
        Assert.Equal(["a"], Read([.. zip, .. "hello"u8]).Keys);
    }

    [Theory]
    [InlineData(true, "entry 'b' overlaps another")] // reads a's bytes once more
    [InlineData(false, "entry 'b' has another header at byte 3")] // points into the void
    public void Entries_that_overlap_are_refused(bool zip64, string message)
    {
        var second = new RawEntry("b", [1, 2]) { Offset = zip64 ? 1u : 3u };
        Expect(message, zip64
            ? RawZip.Write(true, new RawEntry("a", [1, 2]), second)
            : RawZip.Write(false, second));
    }

    [Fact]
    public void Many_names_for_the_same_bytes_are_refused()
    {
        var first = new RawEntry("a", new byte[100]);
        Expect("overlaps another", RawZip.Write(false, first, new RawEntry("b", new byte[100]) { Offset = 0 }));
    }

    public static TheoryData<string, object> Bad() => new()
    {
        { "entry 'a' stands twice", new RawEntry[] { new("a", [1]), new("a", [2]) } },
        { "entry 'a' is compressed (method 8)", new RawEntry[] { new("a", [1]) { Method = 8 } } },
        { "entry 'a' is encrypted", new RawEntry[] { new("a", [1]) { Flags = 1 } } },
        { "entry 'a' has another header", new RawEntry[] { new("a", [1]) { LocalName = "b" } } },
        { "entry 'a' has 1 bytes in 7 although it is not compressed", new RawEntry[] { new("a", [1]) { StoredLength = 7 } } },
        { "entry 'a' begins behind the entries", new RawEntry[] { new("a", [1]) { Offset = 1000 } } },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void What_torch_never_writes_is_refused(string message, object entries)
    {
        Expect(message, RawZip.Write(false, (RawEntry[])entries));
        Expect(message, RawZip.Write(true, (RawEntry[])entries));
    }

    [Fact]
    public void Damage_in_the_directory_is_named()
    {
        byte[] zip = RawZip.Write(false, new RawEntry("a", [1]));
        int directory = zip.AsSpan().IndexOf("PK\u0001\u0002"u8), end = zip.AsSpan().IndexOf("PK\u0005\u0006"u8);
        Expect("no end record", zip[..^1]);
        Expect("no end record", Encoding.ASCII.GetBytes("PK"));
        Expect("the directory does not end where the end record begins", [.. zip[..end], 0, .. zip[end..]]);
        Expect("entry 0 of 1 is missing", With(directory, 0));
        Expect("entry 1 of 2 is missing", With(end + 10, 2));
        Expect("47 bytes follow the last entry", With(end + 10, 0));
        Expect("reaches beyond the directory", With(directory + 28, 200));
        Expect("the archive is in several parts", With(end + 4, 1));
        Expect("entry 'a' lacks its 64-bit sizes", With(directory + 42, 0xFF, 0xFF, 0xFF, 0xFF));
        Expect("entry 'a' reaches beyond the entries", With(directory + 20, 9, 0, 0, 0, 9, 0, 0, 0));
        Expect("entry 'a' is compressed by one of its headers", With(8, 8));

        byte[] With(int at, params byte[] bytes)
        {
            byte[] copy = [.. zip];
            bytes.CopyTo(copy, at);
            return copy;
        }
    }

    [Fact]
    public void The_64_bit_end_record_is_checked()
    {
        byte[] zip = RawZip.Write(true, new RawEntry("a", [1]));
        int end64 = zip.AsSpan().IndexOf("PK\u0006\u0006"u8), locator = zip.AsSpan().IndexOf("PK\u0006\u0007"u8);
        Expect("the 64-bit end record is not where it should be", With(locator + 8, 1));
        Expect("the 64-bit end record is not where it should be", With(end64, 0));
        Expect("expected at most 100000 entries, found 16777217", With(end64 + 32, 1, 0, 0, 1));
        Expect("expected a directory of at most 33554432 bytes", With(end64 + 40, 0, 0, 0, 0x7F));
        Expect("the directory does not end", With(end64 + 48, 0xFF));
        Expect("expected at most 100000 entries, found -", With(end64 + 39, 0xFF));

        byte[] With(int at, params byte[] bytes)
        {
            byte[] copy = [.. zip];
            bytes.CopyTo(copy, at);
            return copy;
        }
    }

    [Fact]
    public void Checksums_are_those_of_zip()
    {
        Assert.Equal(0xCBF43926, Crc32.Append(0, "123456789"u8)); // the standard's check value
        byte[] noise = new byte[1000];
        new Random(5).NextBytes(noise);
        uint whole = Crc32.Append(0, noise);
        for (int cut = 0; cut < 40; cut++)
            Assert.Equal(whole, Crc32.Append(Crc32.Append(0, noise.AsSpan(..cut)), noise.AsSpan(cut..)));
    }

    private FileBytes Open(byte[] bytes) => new(_folder.Write("x.zip", bytes));

    private IReadOnlyDictionary<string, ZipEntry> Read(byte[] bytes)
    {
        using FileBytes file = Open(bytes);
        return ZipDirectory.Read(file);
    }

    private void Expect(string message, byte[] bytes)
    {
        string found = Assert.Throws<GlipFormatException>(() => Read(bytes)).Message;
        Assert.StartsWith(_folder.File("x.zip"), found, StringComparison.Ordinal);
        Assert.Contains(message, found, StringComparison.Ordinal);
    }
}
