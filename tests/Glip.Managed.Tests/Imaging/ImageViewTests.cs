using Glip.Managed.Imaging;

namespace Glip.Managed.Tests.Imaging;

public class ImageViewTests
{
    [Theory]
    [InlineData(PixelFormat.Gray8, 1)]
    [InlineData(PixelFormat.Rgb24, 3)]
    [InlineData(PixelFormat.Bgr24, 3)]
    [InlineData(PixelFormat.Rgba32, 4)]
    [InlineData(PixelFormat.Bgra32, 4)]
    public void Stride_zero_means_rows_without_gaps(PixelFormat format, int bytesPerPixel)
    {
        var view = new ImageView(new byte[5 * 4 * bytesPerPixel], 5, 4, format);

        Assert.Equal(5 * bytesPerPixel, view.Stride);
        Assert.Equal(5 * bytesPerPixel, view.Row(3).Length);
    }

    [Fact]
    public void Last_row_needs_no_padding()
    {
        byte[] pixels = [1, 2, 0, 3, 4];

        var view = new ImageView(pixels, 2, 2, PixelFormat.Gray8, 3);

        Assert.Equal([1, 2], view.Row(0).ToArray());
        Assert.Equal([3, 4], view.Row(1).ToArray());
    }

    [Theory]
    [InlineData(0, 1, 0)]
    [InlineData(1, 0, 0)]
    [InlineData(2, 2, 5)]
    [InlineData(2, 2, -6)]
    public void Sizes_out_of_range_are_refused(int width, int height, int stride)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new ImageView(new byte[100], width, height, PixelFormat.Rgb24, stride));
    }

    [Fact]
    public void Missing_pixels_are_counted()
    {
        var error = Assert.Throws<ArgumentException>(() => new ImageView(new byte[11], 2, 2, PixelFormat.Rgb24));

        Assert.Contains("12", error.Message);
        Assert.Contains("11", error.Message);
    }
}
