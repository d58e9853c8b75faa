using System.Buffers.Binary;
using System.IO.Compression;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using TestData = Glip.Tests.TestData;

namespace Glip.Managed.Tests.Imaging;

public class PngTests
{
    private static readonly string _corpus = TestData.Path("images", "png");

    public static TheoryData<string> CorpusNames => [.. Directory.GetFiles(_corpus, "*.png").Select(p => Path.GetFileNameWithoutExtension(p)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(CorpusNames))]
    public void Decodes_every_kind_of_file_as_Pillow_does(string name)
    {
        byte[] expected = File.ReadAllBytes(Path.Combine(_corpus, name + ".rgb"));

        DecodedImage image = ImageFile.Read(Path.Combine(_corpus, name + ".png"));

        Assert.Equal(expected, image.Pixels);
    }

    [Fact]
    public void Corpus_has_every_color_type_depth_and_interlace()
    {
        (byte, byte, byte)[] kinds = [.. Directory.GetFiles(_corpus, "*.png").Select(File.ReadAllBytes).Select(f => (f[25], f[24], f[28])).Distinct()];

        Assert.Equal(2 * 15, kinds.Length);
    }

    [Fact]
    public void Round_trips_any_picture()
    {
        var cases =
            from width in Gen.Choose(1, 40)
            from height in Gen.Choose(1, 40)
            from values in Gen.Choose(1, 256)
            from seed in Gen.Choose(0, int.MaxValue - 1)
            select (width, height, values, seed);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            var random = new Random(c.seed);
            byte[] pixels = [.. Enumerable.Range(0, c.width * c.height * 3).Select(_ => (byte)random.Next(c.values))];

            DecodedImage decoded = ImageFile.Read(Encode(new ImageView(pixels, c.width, c.height, PixelFormat.Rgb24)));

            return decoded.Width == c.width && decoded.Height == c.height && decoded.Pixels.AsSpan().SequenceEqual(pixels);
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(PixelFormat.Rgb24, new byte[] { 1, 2, 3, 4, 5, 6 })]
    [InlineData(PixelFormat.Bgr24, new byte[] { 3, 2, 1, 6, 5, 4 })]
    [InlineData(PixelFormat.Rgba32, new byte[] { 1, 2, 3, 9, 4, 5, 6, 9 })]
    [InlineData(PixelFormat.Bgra32, new byte[] { 3, 2, 1, 9, 6, 5, 4, 9 })]
    public void Encodes_any_channel_order(PixelFormat format, byte[] pixels)
    {
        DecodedImage decoded = ImageFile.Read(Encode(new ImageView(pixels, 2, 1, format)));

        Assert.Equal([1, 2, 3, 4, 5, 6], decoded.Pixels);
    }

    [Fact]
    public void Filters_make_a_smooth_picture_small()
    {
        byte[] gradient = [.. Enumerable.Range(0, 256 * 256).SelectMany(i => new[] { (byte)i, (byte)(i >> 8), (byte)(i + (i >> 8)) })];

        Assert.InRange(Encode(new ImageView(gradient, 256, 256, PixelFormat.Rgb24)).Length, 100, gradient.Length / 50);
    }

    [Fact]
    public void Reads_streams_and_memory_and_leaves_streams_open()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(_corpus, "rgb8.png"));
        using var stream = new MemoryStream(file);

        DecodedImage image = ImageFile.Read(stream);

        Assert.Equal(ImageFile.Read(file).Pixels, image.Pixels);
        Assert.True(stream.CanRead);
    }

    [Fact]
    public void Every_flipped_bit_is_noticed()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(_corpus, "rgb8_adam7.png"));
        for (int i = 0; i < file.Length; i++)
        {
            byte[] broken = [.. file];
            broken[i] ^= (byte)(1 << (i % 8));
            var error = Assert.Throws<GlipFormatException>(() => ImageFile.Read(broken, "broken.png"));
            Assert.StartsWith("broken.png: ", error.Message);
        }
    }

    [Fact]
    public void Every_truncation_is_noticed()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(_corpus, "palette4.png"));
        for (int length = 0; length < file.Length; length++)
            Assert.Throws<GlipFormatException>(() => ImageFile.Read(file.AsSpan(0, length)));
    }

    [Fact]
    public void Damage_behind_a_right_checksum_is_an_error_or_a_picture_and_nothing_else()
    {
        byte[] data = Deflate([.. Enumerable.Range(0, 13 * 40).Select(i => (byte)(i % 13 == 0 ? i / 13 % 5 : i * i))]);
        var cases = from position in Gen.Choose(0, data.Length - 1) from value in Gen.Choose(0, 255) select (position, value);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            byte[] broken = [.. data];
            broken[c.position] = (byte)c.value;
            try
            {
                return ImageFile.Read(Png(("IHDR", Header(12, 40, 8, 0)), ("IDAT", broken), ("IEND", []))).Height == 40;
            }
            catch (GlipFormatException)
            {
                return true;
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Bytes_after_the_end_are_ignored()
    {
        byte[] file = [.. File.ReadAllBytes(Path.Combine(_corpus, "gray8.png")), 1, 2, 3];

        Assert.Equal(13, ImageFile.Read(file).Width);
    }

    [Theory]
    [InlineData("compressed data that ends early", "truncated")]
    [InlineData("compressed data with a wrong checksum", "corrupt")]
    [InlineData("compressed data cut before its checksum", "PNG: ")]
    [InlineData("filter type 5", "filter type 5")]
    [InlineData("no data", "no IDAT")]
    [InlineData("a palette picture without palette", "PLTE")]
    [InlineData("a palette of 4 bytes", "PLTE has 4 bytes")]
    [InlineData("an entry outside the palette", "palette entry 7")]
    [InlineData("an unknown critical chunk", "ABCD")]
    [InlineData("a chunk before the header", "expected IHDR")]
    [InlineData("two headers", "second or misplaced IHDR")]
    [InlineData("data in two places", "second or misplaced IDAT")]
    [InlineData("a size of 0", "0x2")]
    [InlineData("a size beyond 31 bits", "4294967295x2")]
    [InlineData("16-bit palette", "color type 3 with 16 bits")]
    [InlineData("color type 5", "color type 5")]
    [InlineData("interlace 2", "interlace 2")]
    [InlineData("a claim that its data cannot hold", "cannot hold")]
    public void Says_what_is_wrong(string flaw, string expected)
    {
        byte[] rows = [0, 10, 20, 0, 30, 40]; // 2x2 gray
        byte[] data = Deflate(rows);
        (string, byte[]) header = ("IHDR", Header(2, 2, 8, 0));
        (string, byte[]) idat = ("IDAT", data);
        (string, byte[]) end = ("IEND", []);
        byte[] file = flaw switch
        {
            "compressed data that ends early" => Png(header, ("IDAT", Deflate(rows[..4])), end),
            "compressed data with a wrong checksum" => Png(header, ("IDAT", [.. data[..^1], (byte)~data[^1]]), end),
            "compressed data cut before its checksum" => Png(header, ("IDAT", data[..^6]), end),
            "filter type 5" => Png(header, ("IDAT", Deflate([0, 10, 20, 5, 30, 40])), end),
            "no data" => Png(header, end),
            "a palette picture without palette" => Png(("IHDR", Header(2, 2, 8, 3)), idat, end),
            "a palette of 4 bytes" => Png(("IHDR", Header(2, 2, 8, 3)), ("PLTE", new byte[4]), idat, end),
            "an entry outside the palette" => Png(("IHDR", Header(2, 1, 8, 3)), ("PLTE", new byte[6]), ("IDAT", Deflate([0, 1, 7])), end),
            "an unknown critical chunk" => Png(header, ("ABCD", []), idat, end),
            "a chunk before the header" => Png(("tEXt", []), header, idat, end),
            "two headers" => Png(header, header, idat, end),
            "data in two places" => Png(header, idat, ("tEXt", []), idat, end),
            "a size of 0" => Png(("IHDR", Header(0, 2, 8, 0)), idat, end),
            "a size beyond 31 bits" => Png(("IHDR", Header(-1, 2, 8, 0)), idat, end),
            "16-bit palette" => Png(("IHDR", Header(2, 2, 16, 3)), idat, end),
            "color type 5" => Png(("IHDR", Header(2, 2, 8, 5)), idat, end),
            "interlace 2" => Png(("IHDR", Header(2, 2, 8, 0, interlace: 2)), idat, end),
            "a claim that its data cannot hold" => Png(("IHDR", Header(9000, 9000, 8, 0)), idat, end),
            _ => throw new ArgumentException(flaw),
        };

        var error = Assert.Throws<GlipFormatException>(() => ImageFile.Read(file, "x.png"));

        Assert.StartsWith("x.png: ", error.Message);
        Assert.Contains(expected, error.Message);
    }

    [Fact]
    public void Pixel_limit_is_inclusive_and_named()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(_corpus, "rgb8.png"));

        Assert.Equal(11, ImageFile.Read(file, options: new() { MaxPixels = 143 }).Height);
        var error = Assert.Throws<GlipFormatException>(() => ImageFile.Read(file, options: new() { MaxPixels = 142 }));

        Assert.Contains("13x11", error.Message);
        Assert.Contains("142", error.Message);
    }

    [Theory]
    [InlineData(new byte[] { (byte)'R', (byte)'I', (byte)'F', (byte)'F', 0, 0, 0, 0, (byte)'W', (byte)'E', (byte)'B', (byte)'P' }, "WebP")]
    [InlineData(new byte[] { (byte)'M', (byte)'M', 0, 42 }, "TIFF")]
    [InlineData(new byte[] { 0, 0, 0, 32, (byte)'f', (byte)'t', (byte)'y', (byte)'p' }, "HEIF or AVIF is not supported: convert to PNG or JPEG")]
    [InlineData(new byte[] { 0xCA, 0xFE }, "CAFE")]
    [InlineData(new byte[0], "empty")]
    public void Names_formats_that_it_cannot_read(byte[] file, string expected)
    {
        var error = Assert.Throws<GlipFormatException>(() => ImageFile.Read(file, "photo.png"));

        Assert.StartsWith("photo.png: ", error.Message);
        Assert.Contains(expected, error.Message);
    }

    [Fact]
    public void Written_file_replaces_the_old_one_and_leaves_nothing_beside()
    {
        string folder = Directory.CreateTempSubdirectory("glip-png").FullName;
        try
        {
            string path = Path.Combine(folder, "a.png");
            File.WriteAllText(path, "old");

            ImageFile.WritePng(path, new ImageView(new byte[12], 2, 2, PixelFormat.Rgb24));

            Assert.Equal(2, ImageFile.Read(path).Width);
            Assert.Equal([path], Directory.GetFiles(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Failed_write_keeps_the_old_file_and_leaves_nothing_beside()
    {
        string folder = Directory.CreateTempSubdirectory("glip-png").FullName;
        try
        {
            string path = Path.Combine(folder, "a.png");
            File.WriteAllText(path, "old");

            using (var output = new OutputFile(path))
                output.Stream.WriteByte(1);

            Assert.Equal("old", File.ReadAllText(path));
            Assert.Equal([path], Directory.GetFiles(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Checksum_is_the_published_one()
    {
        // The check value of CRC-32/ISO-HDLC, and a length that goes through both loops.
        Assert.Equal(0xCBF43926u, Crc32.Of("123456789"u8));
        var split = new Crc32();
        split.Add("1234"u8);
        split.Add("56789"u8);
        Assert.Equal(0xCBF43926u, split.Value);
    }

    [Fact]
    public void Filters_are_undone_for_every_distance_and_length()
    {
        var random = new Random(1);
        foreach (PngFilterType type in Enum.GetValues<PngFilterType>())
        {
            foreach (int distance in new[] { 1, 2, 3, 4, 6, 8 })
            {
                for (int pixels = 1; pixels < 40; pixels++)
                {
                    var row = new byte[pixels * distance];
                    var above = new byte[row.Length];
                    random.NextBytes(row);
                    random.NextBytes(above);
                    var filtered = new byte[row.Length];
                    PngFilter.Apply(type, row, above, distance, filtered);

                    PngFilter.Undo(type, filtered, above, distance);

                    Assert.Equal(row, filtered);
                }
            }
        }
    }

    [Fact]
    public void Vector_Paeth_equals_the_scalar_one()
    {
        var random = new Random(2);
        foreach (int distance in new[] { 3, 4 })
        {
            for (int length = 1; length < 70; length++) // rows of broken files end within a pixel
            {
                var row = new byte[length];
                var above = new byte[length];
                random.NextBytes(row);
                random.NextBytes(above);
                byte[] scalar = [.. row];
                PngFilter.UndoPaethScalar(scalar, above, 0, distance);

                PngFilter.Undo(PngFilterType.Paeth, row, above, distance);

                Assert.Equal(scalar, row);
            }
        }
    }

    private static byte[] Encode(ImageView image)
    {
        using var stream = new MemoryStream();
        ImageFile.WritePng(stream, image);
        return stream.ToArray();
    }

    private static byte[] Header(int width, int height, byte depth, byte color, byte interlace = 0)
    {
        byte[] header = [0, 0, 0, 0, 0, 0, 0, 0, depth, color, 0, 0, interlace];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        return header;
    }

    private static byte[] Deflate(byte[] data)
    {
        using var stream = new MemoryStream();
        using (var zlib = new ZLibStream(stream, CompressionLevel.Optimal))
            zlib.Write(data);
        return stream.ToArray();
    }

    private static byte[] Png(params (string Type, byte[] Content)[] chunks)
    {
        using var file = new MemoryStream();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        Span<byte> number = stackalloc byte[4];
        foreach ((string type, byte[] content) in chunks)
        {
            byte[] checkedBytes = [.. System.Text.Encoding.ASCII.GetBytes(type), .. content];
            BinaryPrimitives.WriteInt32BigEndian(number, content.Length);
            file.Write(number);
            file.Write(checkedBytes);
            BinaryPrimitives.WriteUInt32BigEndian(number, Crc32.Of(checkedBytes));
            file.Write(number);
        }

        return file.ToArray();
    }
}
