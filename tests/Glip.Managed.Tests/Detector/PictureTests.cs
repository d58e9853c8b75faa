using Glip.Managed;
using Glip.Managed.Imaging;

namespace Glip.Tests.Detector;

public class PictureTests
{
    private static readonly DetectOptions s_options = new() { Threshold = 0, MinSize = 48 };

    [Theory]
    [InlineData(PixelFormat.Bgr24)]
    [InlineData(PixelFormat.Rgba32)]
    [InlineData(PixelFormat.Bgra32)]
    public void Channel_order_and_gaps_between_rows_do_not_matter(PixelFormat format)
    {
        using GlipDetector detector = SmallModel.Load();
        var picture = new NoisePicture(83, 61);
        string expected = Run(detector, picture);
        foreach (int gap in (int[])[0, 1, 5, 256])
            Assert.Equal(expected, Run(detector, picture.As(format, gap)));
    }

    [Fact]
    public void Gray_is_the_colour_picture_of_three_equal_channels()
    {
        using GlipDetector detector = SmallModel.Load();
        NoisePicture gray = new NoisePicture(83, 61).Grayed();
        string expected = Run(detector, gray);
        Assert.NotEqual(expected, Run(detector, new NoisePicture(83, 61)));
        foreach (int gap in (int[])[0, 1, 5, 256])
            Assert.Equal(expected, Run(detector, gray.As(PixelFormat.Gray8, gap)));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(4000, 1)]
    [InlineData(1, 4000)]
    [InlineData(31, 33)]
    public void Any_shape_works_at_its_own_size_and_at_the_models(int width, int height)
    {
        using GlipDetector detector = SmallModel.Load(threads: 2);
        var picture = new NoisePicture(width, height);
        foreach (int? size in (int?[])[0, null])
        {
            IReadOnlyList<Detection> found = detector.Detect(picture.View, SmallModel.Prompt, new DetectOptions { Threshold = 0, MinSize = size });
            Assert.NotEmpty(found);
            Assert.All(found, f =>
            {
                Assert.InRange(f.Score, float.Epsilon, 1);
                Assert.True(f.Box.X1 >= 0 && f.Box.Y1 >= 0 && f.Box.X2 <= width && f.Box.Y2 <= height, $"{f.Box} leaves the picture");
            });
        }
    }

    [Fact]
    public void A_picture_that_grows_too_large_is_refused_with_its_sizes()
    {
        using GlipDetector detector = SmallModel.Load();
        var picture = new NoisePicture(1, 4000);
        var refused = Assert.Throws<ArgumentException>(
            () => detector.Detect(picture.View, SmallModel.Prompt, new DetectOptions { MinSize = 800, MaxSize = 0 }));
        Assert.Contains("1x4000", refused.Message, StringComparison.Ordinal);
        Assert.Contains("800x3200000", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_picture_is_refused()
    {
        using GlipDetector detector = SmallModel.Load();
        Assert.Throws<ArgumentOutOfRangeException>(() => detector.Detect(default(ImageView), SmallModel.Prompt));
    }

    private static string Run(GlipDetector detector, NoisePicture picture)
    {
        IReadOnlyList<Detection> found = detector.Detect(picture.View, SmallModel.Prompt, s_options);
        Assert.NotEmpty(found);
        return SmallModel.Exact(found);
    }
}
