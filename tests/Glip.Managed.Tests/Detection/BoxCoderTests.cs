using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Postprocessing;

namespace Glip.Managed.Tests.Postprocessing;

public class BoxCoderTests
{
    [Fact]
    public void DecodesAndClipsAsTheOriginal()
    {
        var file = new OpsFile("box_decode_clip");
        var anchors = file.Boxes("anchors");
        var deltas = file.Floats("deltas");
        var decoded = file.Boxes("decoded");
        var clipped = file.Boxes("clipped_w150_h120");
        for (int i = 0; i < anchors.Length; i++)
        {
            var box = BoxCoder.Decode(anchors[i], deltas.AsSpan(4 * i, 4));

            AssertNear(decoded[i], box, i);
            AssertNear(clipped[i], BoxCoder.Clip(box, 120, 150), i);
        }
    }

    [Fact]
    public void ZeroDeltasGiveTheAnchor() => Assert.Equal(new Box(-28, -20, 35, 43), BoxCoder.Decode(new(-28, -20, 35, 43), [0, 0, 0, 0]));

    [Fact]
    public void SizesAreLimitedToSixtyTwoAnchorsAndAHalf()
    {
        var box = BoxCoder.Decode(new(0, 0, 63, 63), [0, 0, 1e30f, float.PositiveInfinity]);

        Assert.Equal(62.5 * 64, box.X2 - box.X1 + 1.0, 0.01);
        Assert.Equal(62.5 * 64, box.Y2 - box.Y1 + 1.0, 0.01);
    }

    [Fact]
    public void NaNStaysVisible()
    {
        for (int i = 0; i < 4; i++)
        {
            float[] deltas = [0.1f, 0.2f, 0.3f, 0.4f];
            deltas[i] = float.NaN;

            Assert.False(BoxCoder.IsNumber(BoxCoder.Clip(BoxCoder.Decode(new(0, 0, 63, 63), deltas), 100, 100)));
        }

        Assert.True(BoxCoder.IsNumber(BoxCoder.Decode(new(0, 0, 63, 63), [0.1f, 0.2f, 0.3f, 0.4f])));
    }

    [Fact]
    public void AgreesWithTheFormulaInDouble() => Prop.ForAll(
        Gen.Choose(-4000, 4000).Four().Zip(Gen.Choose(3, 7).Zip(Gen.Choose(0, 100).Zip(Gen.Choose(0, 100)))).ToArbitrary(),
        c =>
        {
            var (d, (level, (y, x))) = c;
            float[] deltas = [d.Item1 / 100f, d.Item2 / 100f, d.Item3 / 100f, d.Item4 / 100f];
            var anchor = AnchorGenerator.At(8, 1 << level, y, x);
            double side = 8 << level;
            double centreX = (deltas[0] / 10.0 * side) + ((anchor.X1 + anchor.X2) / 2);
            double centreY = (deltas[1] / 10.0 * side) + ((anchor.Y1 + anchor.Y2) / 2);
            double width = Math.Exp(Math.Min(deltas[2] / 5.0, Math.Log(1000 / 16.0))) * side;
            double height = Math.Exp(Math.Min(deltas[3] / 5.0, Math.Log(1000 / 16.0))) * side;

            var box = BoxCoder.Decode(anchor, deltas);

            // Rounding follows the largest number that takes part.
            double tolerance = 1e-6 * (width + height + Math.Abs(centreX) + Math.Abs(centreY) + side);
            Assert.Equal(centreX - ((width - 1) / 2), box.X1, tolerance);
            Assert.Equal(centreY - ((height - 1) / 2), box.Y1, tolerance);
            Assert.Equal(centreX + ((width - 1) / 2), box.X2, tolerance);
            Assert.Equal(centreY + ((height - 1) / 2), box.Y2, tolerance);
        }).QuickCheckThrowOnFailure();

    private static void AssertNear(Box expected, Box actual, int row)
    {
        Near(expected.X1, actual.X1);
        Near(expected.Y1, actual.Y1);
        Near(expected.X2, actual.X2);
        Near(expected.Y2, actual.Y2);

        // A few units in the last place: exp is not the same to the last bit everywhere.
        void Near(float e, float a) => Assert.True(
            Math.Abs(e - a) <= 1e-4f + (1e-6f * Math.Abs(e)), $"row {row}: expected {expected}, found {actual}");
    }
}
