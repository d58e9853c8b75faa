using Glip.Managed.Imaging;
using Glip.Tests;
using Glip.Tests.Memory;

namespace Glip.Managed.Tests.Imaging;

public class ImagePreprocessorTests
{
    [Fact]
    public void Normalizes_exactly_as_recorded_from_the_original()
    {
        var golden = GoldenTensors.Load(TestData.Path("ops", "normalize.safetensors"));
        GoldenTensor bytes = golden["u8"];
        ReadOnlySpan<float> expected = golden["output"].Float;
        (int height, int width) = (bytes.Shape[0], bytes.Shape[1]);
        ImageGeometry geometry = ImageGeometry.Plan(height, width, 0, 0);
        var input = new float[geometry.InputLength];

        ImagePreprocessor.Normalize(bytes.Byte, geometry, input);

        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
            {
                for (int c = 0; c < 3; c++)
                    Assert.Equal(expected[(c * height + y) * width + x], input[(y * geometry.PaddedWidth + x) * 3 + c]);
            }
        }
    }

    [Fact]
    public void Pads_with_zeros_after_normalizing()
    {
        ImageGeometry geometry = ImageGeometry.Plan(5, 33, 0, 0);
        var input = new float[geometry.InputLength];
        Array.Fill(input, float.NaN);

        ImagePreprocessor.Prepare(new ImageView(new byte[5 * 33], 33, 5, PixelFormat.Gray8), geometry, input);

        Assert.Equal((32, 64), (geometry.PaddedHeight, geometry.PaddedWidth));
        for (int y = 0; y < 32; y++)
        {
            for (int x = 0; x < 64; x++)
                Assert.Equal(y < 5 && x < 33 ? -103.530f / 57.375f : 0, input[(y * 64 + x) * 3]);
        }
    }

    [Fact]
    public void Plans_all_three_sizes()
    {
        ImageGeometry geometry = ImageGeometry.Plan(101, 149, 120, 0);

        Assert.Equal((101, 149), (geometry.SourceHeight, geometry.SourceWidth));
        Assert.Equal((120, 177), (geometry.Height, geometry.Width));
        Assert.Equal((128, 192), (geometry.PaddedHeight, geometry.PaddedWidth));
        Assert.Equal(120 * 177 * 3, geometry.ResizedLength);
        Assert.Equal(128 * 192 * 3, geometry.InputLength);
    }

    [Fact]
    public void Refuses_an_absurd_input_before_allocating_and_says_what_to_set()
    {
        var error = Assert.Throws<ArgumentException>(() => ImageGeometry.Plan(1, 4000, 800, 0));

        Assert.Contains("4000x1", error.Message);
        Assert.Contains("3200000x800", error.Message);
        Assert.Contains(ImageGeometry.DefaultMaxPixels.ToString(), error.Message);
        Assert.Contains("set a maximum size, or a smaller minimum size than 800", error.Message);
        Assert.Contains("set a smaller minimum size than 9000, or maximum size than 20000", Assert.Throws<ArgumentException>(() => ImageGeometry.Plan(9, 9, 9000, 20000)).Message);
        Assert.Contains("set a minimum size, to which it is reduced", Assert.Throws<ArgumentException>(() => ImageGeometry.Plan(9000, 9000, 0, 20)).Message);
    }

    [Fact]
    public void Limit_counts_padded_pixels_and_is_inclusive()
    {
        Assert.Equal(64, ImageGeometry.Plan(33, 33, 0, 0, maxPixels: 64 * 64).PaddedWidth);
        Assert.Throws<ArgumentException>(() => ImageGeometry.Plan(33, 33, 0, 0, maxPixels: 64 * 64 - 1));
    }

    [Fact]
    public void Geometry_of_another_picture_is_refused()
    {
        ImageGeometry geometry = ImageGeometry.Plan(4, 6, 0, 0);

        Assert.Throws<ArgumentException>(() => ImagePreprocessor.Prepare(new ImageView(new byte[24], 4, 6, PixelFormat.Gray8), geometry, new float[geometry.InputLength]));
    }

    [Fact]
    public void Short_spans_are_refused()
    {
        ImageGeometry geometry = ImageGeometry.Plan(4, 6, 0, 0);

        Assert.Throws<ArgumentException>(() => ImagePreprocessor.Normalize(new byte[4 * 6 * 3 - 1], geometry, new float[geometry.InputLength]));
        Assert.Throws<ArgumentException>(() => ImagePreprocessor.Normalize(new byte[4 * 6 * 3], geometry, new float[geometry.InputLength - 1]));
    }

    [Fact]
    public void A_repeated_preparation_allocates_nothing()
    {
        byte[] pixels = new byte[90 * 70 * 3];
        ImageGeometry geometry = ImageGeometry.Plan(70, 90, 100, 0);
        var input = new float[geometry.InputLength];

        Assert.Equal(0, AllocatedBytes.OfThread(() => ImagePreprocessor.Prepare(new ImageView(pixels, 90, 70, PixelFormat.Bgr24), geometry, input)));
    }
}
