using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Imaging;
using Glip.Tests;
using Glip.Tests.Memory;
using TestData = Glip.Tests.TestData;

namespace Glip.Managed.Tests.Imaging;

public class PillowResizeTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Matches_bytes_recorded_from_Pillow(int index)
    {
        var golden = GoldenTensors.Load(TestData.Path("ops", "pil_resize.safetensors"));
        GoldenTensor input = golden[$"in{index}"];
        GoldenTensor expected = golden[$"out{index}"];
        var image = new ImageView(input.Bytes, input.Shape[1], input.Shape[0], PixelFormat.Bgr24);

        byte[] actual = Resize(image, expected.Shape[1], expected.Shape[0]);

        Assert.Equal(expected.Bytes, actual);
    }

    [Theory]
    [InlineData(1, 1, 800, 800)]
    [InlineData(1, 4000, 3, 12)]
    [InlineData(4000, 1, 1, 7)]
    [InlineData(5, 3, 1, 1)]
    [InlineData(640, 480, 480, 640)]
    [InlineData(33, 7, 33, 9)]
    [InlineData(33, 7, 31, 7)]
    public void Equals_the_plain_loops_at_extreme_sizes(int width, int height, int toWidth, int toHeight)
    {
        byte[] pixels = Noise(width * height * 3, 5);
        var image = new ImageView(pixels, width, height, PixelFormat.Rgb24);

        Assert.Equal(ReferenceResize.Resize(image, toWidth, toHeight), Resize(image, toWidth, toHeight));
    }

    [Fact]
    public void Equals_the_plain_loops_for_any_size_format_and_stride()
    {
        Gen<int> side = Gen.Choose(1, 70);
        var cases =
            from width in side
            from height in side
            from toWidth in side
            from toHeight in side
            from format in Gen.Elements(Enum.GetValues<PixelFormat>())
            from gap in Gen.Choose(0, 5)
            from seed in Gen.Choose(0, int.MaxValue - 1)
            select (width, height, toWidth, toHeight, format, gap, seed);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            int stride = c.width * c.format.BytesPerPixel() + c.gap;
            byte[] pixels = Noise(stride * c.height, c.seed);
            var image = new ImageView(pixels.AsSpan(0, pixels.Length - c.gap), c.width, c.height, c.format, stride);
            return ReferenceResize.Resize(image, c.toWidth, c.toHeight).AsSpan().SequenceEqual(Resize(image, c.toWidth, c.toHeight));
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(254)]
    [InlineData(255)]
    public void Keeps_a_plain_picture_plain(byte value)
    {
        byte[] pixels = new byte[97 * 61];
        Array.Fill(pixels, value);

        byte[] resized = Resize(new ImageView(pixels, 97, 61, PixelFormat.Gray8), 33, 150);

        Assert.All(resized, b => Assert.Equal(value, b));
    }

    [Fact]
    public void A_repeated_call_allocates_nothing()
    {
        byte[] pixels = Noise(300 * 200 * 3, 1);
        byte[] destination = new byte[150 * 100 * 3];

        Assert.Equal(0, AllocatedBytes.OfThread(() => PillowResize.Resize(new ImageView(pixels, 300, 200, PixelFormat.Rgb24), 150, 100, destination)));
    }

    [Fact]
    public void Leaves_bytes_after_the_picture_alone()
    {
        byte[] destination = new byte[7 * 5 * 3 + 40];
        Array.Fill(destination, (byte)0xA5);

        PillowResize.Resize(new ImageView(new byte[12], 4, 3, PixelFormat.Gray8), 7, 5, destination);

        Assert.All(destination[(7 * 5 * 3)..], b => Assert.Equal(0xA5, b));
        Assert.All(destination[..(7 * 5 * 3)], b => Assert.Equal(0, b));
    }

    [Fact]
    public void Names_the_bytes_that_are_missing()
    {
        var error = Assert.Throws<ArgumentException>(() => PillowResize.Resize(new ImageView(new byte[12], 4, 3, PixelFormat.Gray8), 7, 5, new byte[104]));

        Assert.Contains("105", error.Message);
        Assert.Contains("104", error.Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => PillowResize.Resize(new ImageView(new byte[12], 4, 3, PixelFormat.Gray8), 0, 5, new byte[9]));
        Assert.Throws<ArgumentOutOfRangeException>(() => PillowResize.Resize(new ImageView(new byte[12], 4, 3, PixelFormat.Gray8), 5, -1, new byte[9]));
    }

    private static byte[] Resize(ImageView image, int width, int height)
    {
        var result = new byte[width * height * 3];
        PillowResize.Resize(image, width, height, result);
        return result;
    }

    private static byte[] Noise(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
