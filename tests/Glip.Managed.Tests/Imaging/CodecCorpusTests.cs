using Glip.Managed.Imaging.Codecs;
using TestData = Glip.Tests.TestData;

namespace Glip.Managed.Tests.Imaging;

public class CodecCorpusTests
{
    private static readonly string _corpus = TestData.Path("images");

    private static readonly string[] _names =
    [
        .. new[] { "jpeg", "bmp", "pnm", "gif" }
            .SelectMany(folder => Directory.GetFiles(Path.Combine(_corpus, folder), "*.png"))
            .Select(path => Path.GetRelativePath(_corpus, path)[..^".png".Length].Replace('\\', '/'))
            .Order(StringComparer.Ordinal),
    ];

    public static TheoryData<string> Names => [.. _names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Decodes_every_file_as_Pillow_does(string name)
    {
        string path = Path.Combine(_corpus, name);
        DecodedImage expected = ImageFile.Read(path + ".png");
        bool truncated = Path.GetFileName(name).StartsWith("truncated", StringComparison.Ordinal);

        DecodedImage actual = ImageFile.Read(path, new ImageReadOptions { AllowTruncated = truncated });

        Assert.Equal((expected.Width, expected.Height), (actual.Width, actual.Height));
        Assert.Equal(expected.Pixels, actual.Pixels);
        Assert.Equal(Path.GetExtension(name).TrimStart('.').Replace("jpg", "jpeg"), actual.Format!.Value.ToString(), ignoreCase: true);
        if (truncated)
            Assert.Contains("truncated JPEG", Assert.Throws<GlipFormatException>(() => ImageFile.Read(path)).Message);
    }

    [Fact]
    public void Corpus_covers_the_formats()
    {
        Assert.True(_names.Count(n => n.EndsWith(".jpg", StringComparison.Ordinal)) >= 110);
        Assert.True(_names.Count(n => n.EndsWith(".bmp", StringComparison.Ordinal)) >= 35);
        Assert.True(_names.Count(n => n.EndsWith("m", StringComparison.Ordinal)) >= 40);
        Assert.True(_names.Count(n => n.EndsWith(".gif", StringComparison.Ordinal)) >= 20);
    }

    [Fact]
    public void Format_is_found_by_content_and_not_by_name()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(_corpus, "jpeg", "rgb.jpg"));

        Assert.Equal(ImageFormat.Jpeg, ImageFile.Read(file, "photo.png").Format);
    }

    [Fact]
    public void Streams_without_a_length_are_read_to_their_end()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(_corpus, "jpeg", "rgb.jpg"));
        byte[] padded = [.. file, .. new byte[200_000]]; // longer than the first buffer

        DecodedImage image = ImageFile.Read(new OneWayStream(padded));

        Assert.Equal(ImageFile.Read(file).Pixels, image.Pixels);
        var limits = new ImageReadOptions { MaxFileBytes = 150_000 };
        Assert.Contains("150000", Assert.Throws<GlipFormatException>(() => ImageFile.Read(new OneWayStream(padded), options: limits)).Message);
        Assert.Contains("150000", Assert.Throws<GlipFormatException>(() => ImageFile.Read(new MemoryStream(padded), options: limits)).Message);
        Assert.Contains("150000", Assert.Throws<GlipFormatException>(() => ImageFile.Read(padded, options: limits)).Message);
    }

    [Theory]
    [InlineData("jpeg/gray-progressive-q60.jpg")]
    [InlineData("jpeg/exif-large.jpg")]
    [InlineData("bmp/rle8-40x13.bmp")]
    [InlineData("pnm/p6-11x6-255.ppm")]
    [InlineData("gif/pillow-40x31-256.gif")]
    [InlineData("jpeg/rgb.jpg.png")]
    public void Memory_limit_is_kept_and_named(string name)
    {
        byte[] file = File.ReadAllBytes(Path.Combine(_corpus, name));
        DecodedImage image = ImageFile.Read(file);
        int pixelBytes = image.Pixels.Length;

        var error = Assert.Throws<GlipFormatException>(() => ImageFile.Read(file, "x", new ImageReadOptions { MaxMemoryBytes = pixelBytes - 1 }));

        Assert.Contains($"limit is {pixelBytes - 1}", error.Message);
        Assert.Throws<GlipFormatException>(() => ImageFile.Read(file, "x", new ImageReadOptions { MaxPixels = image.Width * image.Height - 1 }));
    }

    [Fact]
    public void Limits_must_be_positive()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new ImageReadOptions { MaxPixels = 0 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new ImageReadOptions { MaxFileBytes = 0 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new ImageReadOptions { MaxMemoryBytes = -1 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new ImageReadOptions { MaxScans = 0 });
    }

    /// <summary>Bytes that can only be read once, a few at a time.</summary>
    private sealed class OneWayStream(byte[] bytes) : Stream
    {
        private int _position;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int length = Math.Min(Math.Min(count, 1000), bytes.Length - _position);
            bytes.AsSpan(_position, length).CopyTo(buffer.AsSpan(offset));
            _position += length;
            return length;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
