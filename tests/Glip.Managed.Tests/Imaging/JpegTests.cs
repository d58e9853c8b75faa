using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using TestData = Glip.Tests.TestData;

namespace Glip.Managed.Tests.Imaging;

public class JpegTests
{
    private static readonly ImageReadOptions _tolerant = new() { AllowTruncated = true };

    [Theory]
    [InlineData("420-17x15-q100-restart3B.jpg")]
    [InlineData("420-33x31-q75-progressive-restart2B.jpg")]
    [InlineData("gray-baseline-q60.jpg")]
    [InlineData("scans-separate.jpg")]
    public void Every_truncation_is_noticed_and_gives_a_picture_on_request(string pattern)
    {
        byte[] file = Sample(pattern);
        DecodedImage whole = ImageFile.Read(file);
        int scan = file.AsSpan().IndexOf([(byte)0xFF, (byte)0xDA]);
        for (int length = 3; length < file.Length - 2; length++)
        {
            byte[] cut = file[..length];
            Assert.Contains(": truncated JPEG: ", Assert.Throws<GlipFormatException>(() => ImageFile.Read(cut)).Message);
            if (length >= scan + 20)
                Assert.Equal((whole.Width, whole.Height), Size(ImageFile.Read(cut, options: _tolerant)));
        }

        Assert.Equal(whole.Pixels, ImageFile.Read(file.AsSpan(0, file.Length - 2)).Pixels); // all but the end marker
    }

    [Fact]
    public void Damaged_interval_is_lost_alone_on_request()
    {
        byte[] pixels = Gradient(64, 64);
        byte[] file = WithRestarts(64, 64);
        byte[] broken = [.. file];
        int second = IndexOfMarker(broken, 0xD0) + 2;
        int third = IndexOfMarker(broken, 0xD1);
        broken.AsSpan(second, third - second).Fill(0xFE); // no code of the standard tables begins with so many ones

        Assert.Contains(": corrupt JPEG: ", Assert.Throws<GlipFormatException>(() => ImageFile.Read(broken)).Message);
        DecodedImage whole = ImageFile.Read(file);
        DecodedImage rest = ImageFile.Read(broken, options: _tolerant);

        Assert.Equal(whole.Pixels.AsSpan(0, 8 * 64 * 3), rest.Pixels.AsSpan(0, 8 * 64 * 3));
        Assert.Equal(whole.Pixels.AsSpan(16 * 64 * 3), rest.Pixels.AsSpan(16 * 64 * 3));
        Assert.NotEqual(whole.Pixels, rest.Pixels);
        Assert.True(Psnr(pixels, whole.Pixels) > 30);
    }

    [Theory]
    [InlineData(0xC3, "lossless JPEG (SOF3)")]
    [InlineData(0xC5, "hierarchical JPEG (SOF5)")]
    [InlineData(0xC9, "arithmetic coding (SOF9)")]
    [InlineData(0xCA, "arithmetic coding (SOF10)")]
    public void Names_coding_processes_that_it_lacks(byte marker, string expected)
    {
        byte[] file = Sample("gray-baseline-q60.jpg");
        file[IndexOfMarker(file, 0xC0) + 1] = marker;

        Assert.Contains($"unsupported JPEG: {expected}", Assert.Throws<GlipFormatException>(() => ImageFile.Read(file)).Message);
    }

    [Theory]
    [InlineData(4, 12, "12-bit samples")] // offsets are from the frame's marker
    [InlineData(5, 0, "truncated")] // 18 rows become more in the high byte below
    [InlineData(9, 2, "a frame header of")]
    [InlineData(8, 0, "a size of 0x18")]
    public void Says_what_is_wrong_with_a_frame(int offset, byte value, string expected)
    {
        byte[] file = Sample("gray-baseline-q60.jpg"); // 21x18
        int frame = IndexOfMarker(file, 0xC0);
        file[frame + offset] = value;
        if (offset == 5)
            file[frame + 5] = 0xFF;

        Assert.Contains(expected, Assert.Throws<GlipFormatException>(() => ImageFile.Read(file)).Message);
    }

    [Fact]
    public void Height_left_to_a_later_marker_is_refused_by_name()
    {
        byte[] file = Sample("gray-baseline-q60.jpg");
        file.AsSpan(IndexOfMarker(file, 0xC0) + 5, 2).Clear();

        Assert.Contains("DNL", Assert.Throws<GlipFormatException>(() => ImageFile.Read(file)).Message);
    }

    [Fact]
    public void Undefined_tables_are_refused_by_name()
    {
        byte[] file = Sample("gray-baseline-q60.jpg");
        byte[] quantization = [.. file];
        quantization[IndexOfMarker(file, 0xC0) + 12] = 3;
        byte[] huffman = [.. file];
        huffman[IndexOfMarker(file, 0xDA) + 6] = 0x20;

        Assert.Contains("quantization table 3 is used but not defined", Assert.Throws<GlipFormatException>(() => ImageFile.Read(quantization)).Message);
        Assert.Contains("DC Huffman table 2 is used but not defined", Assert.Throws<GlipFormatException>(() => ImageFile.Read(huffman)).Message);
    }

    [Fact]
    public void Scans_are_limited()
    {
        byte[] file = Sample("gray-progressive-q60.jpg");
        int scans = Enumerable.Range(0, file.Length - 1).Count(i => file[i] == 0xFF && file[i + 1] == 0xDA);

        Assert.Equal(21, ImageFile.Read(file, options: new ImageReadOptions { MaxScans = scans }).Width);
        var error = Assert.Throws<GlipFormatException>(() => ImageFile.Read(file, options: new ImageReadOptions { MaxScans = scans - 1 }));

        Assert.Contains($"more than {scans - 1} scans", error.Message);
    }

    [Fact]
    public void Scans_that_do_not_follow_each_other_are_refused()
    {
        byte[] file = Sample("gray-progressive-q60.jpg");
        int first = IndexOfMarker(file, 0xDA);
        byte[] wrong = [.. file];
        wrong[first + 7] = 1; // begins with coefficients 1 to 1

        wrong[first + 8] = 1;

        Assert.Contains("expected 0", Assert.Throws<GlipFormatException>(() => ImageFile.Read(wrong)).Message);
    }

    [Fact]
    public void Restart_markers_out_of_order_are_refused()
    {
        byte[] file = WithRestarts(64, 64);
        file[IndexOfMarker(file, 0xD1) + 1] = 0xD4;

        Assert.Contains("expected restart marker 1, found marker 4", Assert.Throws<GlipFormatException>(() => ImageFile.Read(file)).Message);
        Assert.Equal((64, 64), Size(ImageFile.Read(file, options: _tolerant)));
    }

    [Fact]
    public void Claims_that_the_data_cannot_hold_are_refused_before_allocating()
    {
        byte[] file = Sample("gray-baseline-q60.jpg");
        int frame = IndexOfMarker(file, 0xC0);
        file.AsSpan(frame + 5, 4).Fill(0x25); // 9509x9509

        long before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<GlipFormatException>(() => ImageFile.Read(file));

        Assert.Contains("cannot hold a 9509x9509 picture", error.Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    [Theory]
    [InlineData(1, 6)]
    [InlineData(8, 8)]
    [InlineData(0, 1)]
    [InlineData(9, 1)]
    public void Orientation_is_reported(int written, int reported)
    {
        string name = written switch { 1 => "exif-long.jpg", 8 => "exif-8-II.jpg", 0 => "exif-0.jpg", _ => "exif-9.jpg" };

        DecodedImage image = ImageFile.Read(Sample(name));

        Assert.Equal(reported, image.Orientation);
        Assert.Equal(reported >= 5 ? (3, 5) : (5, 3), Size(image));
    }

    [Theory]
    [InlineData(new byte[0])]
    [InlineData(new byte[] { (byte)'I', (byte)'I', 42, 0, 0xFF, 0xFF, 0xFF, 0xFF })]
    [InlineData(new byte[] { (byte)'I', (byte)'I', 42, 0, 8, 0, 0, 0, 200, 0 })]
    [InlineData(new byte[] { (byte)'X', (byte)'X', 42, 0, 8, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { (byte)'M', (byte)'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 2, 0, 6, 0, 6 })]
    public void Broken_exif_is_ignored(byte[] tiff)
    {
        byte[] plain = Encode(Gradient(5, 3), 5, 3, 90, JpegChroma.Full);
        byte[] content = [.. "Exif\0\0"u8, .. tiff];

        DecodedImage image = ImageFile.Read([.. plain[..2], 0xFF, 0xE1, 0, (byte)(content.Length + 2), .. content, .. plain[2..]]);

        Assert.Equal(ImageFile.Read(plain).Pixels, image.Pixels);
        Assert.Equal(1, image.Orientation);
    }

    [Theory]
    [InlineData(1, JpegChroma.Half, 20)]
    [InlineData(50, JpegChroma.Half, 32)]
    [InlineData(90, JpegChroma.Half, 37)]
    [InlineData(90, JpegChroma.Full, 38)]
    [InlineData(100, JpegChroma.Full, 46)]
    public void Written_pictures_are_near_the_original(int quality, JpegChroma chroma, double decibels)
    {
        foreach ((int width, int height) in new[] { (64, 48), (61, 43), (16, 16), (17, 8) })
        {
            byte[] pixels = Gradient(width, height);

            DecodedImage decoded = ImageFile.Read(Encode(pixels, width, height, quality, chroma));

            Assert.Equal((width, height), Size(decoded));
            Assert.InRange(Psnr(pixels, decoded.Pixels), decibels, double.PositiveInfinity);
        }
    }

    [Fact]
    public void Written_pictures_of_every_size_can_be_read()
    {
        for (int width = 1; width <= 18; width++)
        {
            for (int height = 1; height <= 18; height++)
            {
                byte[] pixels = [.. Enumerable.Repeat(new byte[] { 200, 100, 50 }, width * height).SelectMany(p => p)];
                foreach (JpegChroma chroma in Enum.GetValues<JpegChroma>())
                {
                    DecodedImage decoded = ImageFile.Read(Encode(pixels, width, height, 95, chroma));
                    Assert.Equal((width, height), Size(decoded));
                    Assert.All(decoded.Pixels.Zip(pixels), p => Assert.InRange(p.First - p.Second, -3, 3));
                }
            }
        }
    }

    [Fact]
    public void Gray_is_written_as_one_component()
    {
        byte[] pixels = [.. Enumerable.Range(0, 30 * 20).Select(i => (byte)(i % 30 * 8))];
        using var stream = new MemoryStream();

        ImageFile.WriteJpeg(stream, new ImageView(pixels, 30, 20, PixelFormat.Gray8), 95);

        byte[] file = stream.ToArray();
        Assert.Equal(1, file[IndexOfMarker(file, 0xC0) + 9]);
        Assert.All(ImageFile.Read(file).Pixels.Chunk(3).Zip(pixels), p => Assert.InRange(p.First[1] - p.Second, -6, 6));
    }

    [Fact]
    public void Noise_at_quality_100_survives()
    {
        var pixels = new byte[40 * 40 * 3];
        new Random(1).NextBytes(pixels);

        Assert.InRange(Psnr(pixels, ImageFile.Read(Encode(pixels, 40, 40, 100, JpegChroma.Full)).Pixels), 40, double.PositiveInfinity);
    }

    [Fact]
    public void Writer_refuses_what_the_format_cannot_hold()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Encode(new byte[3], 1, 1, 0, JpegChroma.Half));
        Assert.Throws<ArgumentOutOfRangeException>(() => Encode(new byte[3], 1, 1, 101, JpegChroma.Half));
        Assert.Throws<ArgumentOutOfRangeException>(() => Encode(new byte[3], 1, 1, 90, (JpegChroma)7));
        Assert.Throws<ArgumentException>(() => Encode(new byte[65536 * 3], 65536, 1, 90, JpegChroma.Half));
    }

    [Fact]
    public void Written_file_replaces_the_old_one()
    {
        string folder = Directory.CreateTempSubdirectory("glip-jpeg").FullName;
        try
        {
            string path = Path.Combine(folder, "a.jpg");
            File.WriteAllText(path, "old");

            ImageFile.WriteJpeg(path, new ImageView(Gradient(9, 7), 9, 7, PixelFormat.Rgb24));

            Assert.Equal((9, 7), Size(ImageFile.Read(path)));
            Assert.Equal([path], Directory.GetFiles(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static byte[] Sample(string name) => File.ReadAllBytes(TestData.Path("images", "jpeg", name));

    private static (int Width, int Height) Size(DecodedImage image) => (image.Width, image.Height);

    private static int IndexOfMarker(byte[] file, byte marker) => file.AsSpan().IndexOf([(byte)0xFF, marker]);

    private static byte[] Encode(byte[] pixels, int width, int height, int quality, JpegChroma chroma)
    {
        using var stream = new MemoryStream();
        ImageFile.WriteJpeg(stream, new ImageView(pixels, width, height, PixelFormat.Rgb24), quality, chroma);
        return stream.ToArray();
    }

    /// <summary>A gray picture with a restart marker behind each row of blocks, put together from one file for each row.</summary>
    private static byte[] WithRestarts(int width, int height)
    {
        byte[] pixels = Gradient(width, height);
        byte[] head = [];
        List<byte> data = [];
        for (int y = 0; y < height; y += 8)
        {
            byte[] rows = [.. pixels.AsSpan(y * width * 3, 8 * width * 3).ToArray().Chunk(3).Select(p => p[1])];
            using var stream = new MemoryStream();
            ImageFile.WriteJpeg(stream, new ImageView(rows, width, 8, PixelFormat.Gray8), 90);
            byte[] file = stream.ToArray();
            int scan = IndexOfMarker(file, 0xDA);
            head = file[..scan];
            if (data.Count == 0)
                data.AddRange(file[scan..(scan + 10)]);
            else
                data.AddRange([0xFF, (byte)(0xD0 + (y / 8 - 1) % 8)]);
            data.AddRange(file[(scan + 10)..^2]);
        }

        head[IndexOfMarker(head, 0xC0) + 6] = (byte)height;
        return [.. head, 0xFF, 0xDD, 0, 4, 0, (byte)(width / 8), .. data, 0xFF, 0xD9];
    }

    private static byte[] Gradient(int width, int height)
    {
        var pixels = new byte[width * height * 3];
        for (int y = 0, o = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                byte level = (byte)(40 + 170 * (x + y) / (width + height));
                (pixels[o], pixels[o + 1], pixels[o + 2]) = (level, level, level);
                o += 3;
            }
        }

        return pixels;
    }

    private static double Psnr(byte[] expected, byte[] actual)
    {
        double squares = expected.Zip(actual, (e, a) => (double)(e - a) * (e - a)).Average();
        return 10 * Math.Log10(255 * 255 / squares);
    }
}
