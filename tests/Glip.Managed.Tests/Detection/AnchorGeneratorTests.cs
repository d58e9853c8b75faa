using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Postprocessing;

namespace Glip.Managed.Tests.Postprocessing;

public class AnchorGeneratorTests
{
    [Theory]
    [InlineData("P3", 8, 9)]
    [InlineData("P4", 16, 5)]
    [InlineData("P5", 32, 3)]
    [InlineData("P6", 64, 2)]
    [InlineData("P7", 128, 1)]
    public void EqualsTheOriginal(string level, int stride, int width)
    {
        var expected = new OpsFile("anchors").Boxes(level);

        var actual = Enumerable.Range(0, expected.Length).Select(cell => AnchorGenerator.At(8, stride, cell / width, cell % width));

        Assert.Equal(expected, actual);
    }

    [Fact]
    public void ScaleFourIsHalfAsLargeAboutTheSameCentre()
    {
        // Side 4 · 8 = 32 about 3.5 = (8 − 1) / 2, moved by one row and two columns.
        Assert.Equal(new Box(-12, -12, 19, 19), AnchorGenerator.At(4, 8, 0, 0));
        Assert.Equal(new Box(4, -4, 35, 27), AnchorGenerator.At(4, 8, 1, 2));
    }

    [Fact]
    public void SideAndCentreFollowFromScaleAndStride() => Prop.ForAll(
        Gen.Choose(1, 64).Zip(Gen.Choose(0, 7)).Zip(Gen.Choose(0, 300).Zip(Gen.Choose(0, 300))).ToArbitrary(),
        c =>
        {
            var ((quarters, level), (y, x)) = c;
            float scale = quarters / 4f;
            int stride = 1 << level;

            var anchor = AnchorGenerator.At(scale, stride, y, x);

            Assert.Equal(scale * stride, anchor.X2 - anchor.X1 + 1);
            Assert.Equal(scale * stride, anchor.Y2 - anchor.Y1 + 1);
            Assert.Equal((x * stride) + ((stride - 1) / 2f), (anchor.X1 + anchor.X2) / 2);
            Assert.Equal((y * stride) + ((stride - 1) / 2f), (anchor.Y1 + anchor.Y2) / 2);
        }).QuickCheckThrowOnFailure();
}
