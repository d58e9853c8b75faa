using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Imaging;

namespace Glip.Managed.Tests.Imaging;

public class ImageSizeTests
{
    // height, width, min, max -> height, width; the uncapped rows include the sizes of the golden cases.
    [Theory]
    [InlineData(480, 640, 800, 0, 800, 1066)]
    [InlineData(640, 480, 800, 0, 1066, 800)]
    [InlineData(800, 1203, 800, 0, 800, 1203)]
    [InlineData(101, 149, 120, 0, 120, 177)]
    [InlineData(231, 70, 40, 0, 132, 40)]
    [InlineData(37, 53, 24, 0, 24, 34)]
    [InlineData(90, 31, 17, 0, 49, 17)]
    [InlineData(600, 600, 800, 0, 800, 800)]
    [InlineData(100, 3000, 800, 0, 800, 24000)]
    [InlineData(480, 640, 800, 1333, 800, 1066)]
    [InlineData(100, 3000, 800, 1333, 44, 1320)]
    [InlineData(3000, 100, 800, 1333, 1320, 44)]
    [InlineData(427, 640, 800, 1333, 800, 1199)]
    [InlineData(333, 640, 800, 1333, 694, 1333)]
    [InlineData(480, 640, 0, 1333, 480, 640)]
    [InlineData(5, 2000, 800, 1000, 2, 800)] // 2.5 rounds to the even 2
    [InlineData(7, 2000, 800, 1000, 4, 1142)] // 3.5 rounds to the even 4, past the cap as in the original
    [InlineData(1, 4000, 800, 1333, 1, 1333)]
    [InlineData(4000, 1, 800, 1333, 1333, 1)]
    [InlineData(1, 1, 800, 1333, 800, 800)]
    public void Follows_the_original(int height, int width, int minSize, int maxSize, int expectedHeight, int expectedWidth)
    {
        Assert.Equal((expectedHeight, expectedWidth), ImageSize.Target(height, width, minSize, maxSize));
    }

    [Fact]
    public void Is_symmetric_and_at_least_one_pixel()
    {
        Gen<int> side = Gen.Choose(1, 5000);
        var cases =
            from height in side
            from width in side
            from minSize in Gen.Choose(0, 1200)
            from maxSize in Gen.Choose(0, 2000)
            select (height, width, minSize, maxSize);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            (int height, int width) = ImageSize.Target(c.height, c.width, c.minSize, c.maxSize);
            return height >= 1 && width >= 1 && ImageSize.Target(c.width, c.height, c.minSize, c.maxSize) == (width, height);
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(0, 1, 800, 0)]
    [InlineData(1, 0, 800, 0)]
    [InlineData(1, 1, -1, 0)]
    [InlineData(1, 1, 800, -1)]
    [InlineData(1, int.MaxValue, 800, 0)]
    public void Refuses_sizes_out_of_range(int height, int width, int minSize, int maxSize)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => ImageSize.Target(height, width, minSize, maxSize));
    }
}
