using System.Buffers.Binary;
using System.Text;
using Glip.Managed.Imaging.Codecs;
using TestData = Glip.Tests.TestData;

namespace Glip.Managed.Tests.Imaging;

/// <summary>BMP, PNM and GIF beyond what the corpus compares with Pillow: errors, and what Pillow reads wrongly.</summary>
public class OtherFormatTests
{
    [Fact]
    public void Run_length_bitmaps_may_move_and_end_early()
    {
        // Bottom row: entry 1, then 2 further right; above it nothing but its last pixel.
        byte[] file = Bitmap(4, 2, bits: 8, compression: 1, colors: 4, [1, 1, 0, 2, 1, 0, 2, 2, 0, 0, 0, 2, 3, 0, 1, 3, 0, 1]);

        Assert.Equal([10, 10, 10, 13, 11, 10, 12, 12], ImageFile.Read(file).Pixels.Where((_, i) => i % 3 == 0).Select(v => (int)v));
    }

    [Fact]
    public void Absolute_runs_of_odd_length_are_padded_to_words()
    {
        byte[] eight = Bitmap(4, 1, bits: 8, compression: 1, colors: 4, [0, 3, 1, 2, 3, 99, 1, 1]);
        byte[] four = Bitmap(6, 1, bits: 4, compression: 2, colors: 4, [0, 5, 0x12, 0x30, 0x10, 99, 1, 0x20]);

        Assert.Equal([11, 12, 13, 11], ImageFile.Read(eight).Pixels.Where((_, i) => i % 3 == 0).Select(v => (int)v));
        Assert.Equal([11, 12, 13, 10, 11, 12], ImageFile.Read(four).Pixels.Where((_, i) => i % 3 == 0).Select(v => (int)v));
    }

    [Theory]
    [InlineData(14, 99, "a header of 99 bytes")]
    [InlineData(18, 0, "a size of 0x2")]
    [InlineData(28, 7, "7 bits a pixel with compression 1")]
    [InlineData(30, 5, "8 bits a pixel with compression 5")]
    public void Says_what_is_wrong_with_a_bitmap(int offset, byte value, string expected)
    {
        byte[] file = Bitmap(4, 2, bits: 8, compression: 1, colors: 4, [0, 1]);
        file[offset] = value;

        Assert.Contains(expected, Assert.Throws<GlipFormatException>(() => ImageFile.Read(file)).Message);
    }

    [Fact]
    public void Channel_masks_must_be_of_adjacent_bits()
    {
        byte[] file = Bitmap(1, 1, bits: 32, compression: 3, colors: 0, [0x0F, 0, 0, 0, 0xF0, 0xF0, 0, 0, 0, 0, 0x0F, 0, 1, 2, 3, 4]);

        Assert.Contains("channel mask of 0000F0F0", Assert.Throws<GlipFormatException>(() => ImageFile.Read(file)).Message);
    }

    [Fact]
    public void Any_channel_masks_are_scaled_to_bytes()
    {
        byte[] file = Bitmap(1, 1, bits: 32, compression: 3, colors: 0, [0x0F, 0, 0, 0, 0xF0, 0xFF, 0, 0, 0, 0, 0xF0, 0xFF, 0x8F, 0xFF, 0x0F, 0x80]);

        Assert.Equal([255, 4088 * 255 / 4095, 2048 * 255 / 4095], ImageFile.Read(file).Pixels.Select(v => (int)v));
    }

    [Theory]
    [InlineData("bmp/palette8-40.bmp")]
    [InlineData("bmp/rle8-40x13.bmp")]
    [InlineData("bmp/color24-12.bmp")]
    [InlineData("pnm/p1-11x6.pbm")]
    [InlineData("pnm/p4-11x6.pbm")]
    [InlineData("pnm/p5-11x6-100.pgm")]
    [InlineData("pnm/p6-11x6-65535.ppm")]
    [InlineData("gif/pillow-40x31-256.gif")]
    [InlineData("gif/offset-interlaced.gif")]
    public void Every_truncation_is_noticed(string name)
    {
        byte[] file = File.ReadAllBytes(TestData.Path("images", name));
        DecodedImage whole = ImageFile.Read(file);
        for (int length = 0; length < file.Length - 4; length++)
        {
            byte[] cut = file[..length];
            Assert.Throws<GlipFormatException>(() => ImageFile.Read(cut));
        }

        Assert.Equal(whole.Pixels, ImageFile.Read([.. file, 1, 2, 3]).Pixels);
    }

    [Theory]
    [InlineData("P2 2 1 255 1 300 ", "a value of 300, the largest is 255")]
    [InlineData("P2 2 1 255 1 x ", "a byte 78 within the value")]
    [InlineData("P2 2 1 255 1 12345678901 ", "more than 10 digits")]
    [InlineData("P1 2 1 1 2 ", "a byte 32 where 0 or 1 is expected")]
    [InlineData("P5 2 1 0 ab", "a largest value of 0")]
    [InlineData("P5 2 1 65536 ab", "a largest value of 65536")]
    [InlineData("P5 0 1 255 ab", "a size of 0x1")]
    [InlineData("P6 9999 9999 255 ab", "needs at least 299940003 bytes")]
    [InlineData("P6 4294967296 1 255 ab", "a width of 4294967296")]
    [InlineData("P6 # no end", "the file ends where the width is expected")]
    public void Says_what_is_wrong_with_a_pixmap(string file, string expected)
    {
        Assert.Contains(expected, Assert.Throws<GlipFormatException>(() => ImageFile.Read(Encoding.ASCII.GetBytes(file))).Message);
    }

    [Fact]
    public void Deep_graymaps_are_scaled_and_not_clipped()
    {
        byte[] file = [.. "P5 3 1 65535\n"u8, 0, 0, 0x80, 0x80, 0xFF, 0xFF];

        Assert.Equal([0, 0, 0, 128, 128, 128, 255, 255, 255], ImageFile.Read(file).Pixels.Select(v => (int)v));
    }

    [Theory]
    [InlineData(new byte[] { 2, 1, 0x3C, 0 }, "code 7")] // clear, then a string that cannot be known yet
    [InlineData(new byte[] { 2, 1, 0x04, 0 }, "the data ends after 1 of 16 pixels")] // clear, 0, then nothing
    [InlineData(new byte[] { 9, 1, 0, 0 }, "indices of 9 bits")]
    [InlineData(new byte[] { 0, 1, 0, 0 }, "indices of 0 bits")]
    [InlineData(new byte[] { 2, 0 }, "the data ends after 0 of 16 pixels")]
    public void Says_what_is_wrong_with_gif_data(byte[] data, string expected)
    {
        byte[] file = [.. "GIF89a"u8, 4, 0, 4, 0, 0, 0, 0, 0x2C, 0, 0, 0, 0, 4, 0, 4, 0, 0, .. data];

        Assert.Contains(expected, Assert.Throws<GlipFormatException>(() => ImageFile.Read(file)).Message);
    }

    [Fact]
    public void Gif_may_end_its_data_early_or_have_no_frame()
    {
        byte[] head = [.. "GIF89a"u8, 4, 0, 1, 0, 0, 0, 0];

        // Clear, 1, end: the other three pixels are those of entry 0.
        DecodedImage image = ImageFile.Read([.. head, 0x2C, 0, 0, 0, 0, 4, 0, 1, 0, 0, 2, 2, 0b01_001_100, 0b1, 0, 0x3B]);

        Assert.Equal([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], image.Pixels.Select(v => (int)v));
        Assert.Contains("no frame", Assert.Throws<GlipFormatException>(() => ImageFile.Read([.. head, 0x3B])).Message);
    }

    /// <summary>A bitmap whose palette entry i is gray 10 + i.</summary>
    private static byte[] Bitmap(int width, int height, short bits, int compression, int colors, byte[] data)
    {
        var file = new byte[54 + 4 * colors + data.Length];
        "BM"u8.CopyTo(file);
        int offset = compression == 3 ? 54 + 12 : 54 + 4 * colors;
        (int At, int Value)[] fields = [(2, file.Length), (10, offset), (14, 40), (18, width), (22, height), (26, 1), (30, compression), (46, colors)];
        foreach ((int at, int value) in fields)
            BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(at), value);
        BinaryPrimitives.WriteInt16LittleEndian(file.AsSpan(28), bits);
        for (int i = 0; i < colors; i++)
            file.AsSpan(54 + 4 * i, 4).Fill((byte)(10 + i));
        data.CopyTo(file.AsSpan(54 + 4 * colors));
        return file;
    }
}
