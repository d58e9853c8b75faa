using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Imaging.Drawing;

namespace Glip.Managed.Tests.Imaging;

public class LabelLayoutTests
{
    private const int Height = 18;

    [Theory]
    [InlineData(100, 100, 300, 300, 100, 82)] // above
    [InlineData(100, 10, 300, 300, 100, 10)] // no room above: inside
    [InlineData(600, 100, 640, 300, 560, 82)] // moved left into the canvas
    [InlineData(0, 470, 640, 480, 0, 452)]
    public void First_choice_is_above_then_inside(int left, int top, int right, int bottom, int x, int y)
    {
        PixelRect[] plates = LabelLayout.Place([new PixelRect(left, top, right, bottom)], [80], Height, 640, 480);

        Assert.Equal([new PixelRect(x, y, x + 80, y + Height)], plates);
    }

    [Fact]
    public void Later_labels_give_way()
    {
        var frame = new PixelRect(100, 100, 300, 300);

        PixelRect[] plates = LabelLayout.Place([frame, frame, frame, frame], [80, 80, 80, 80], Height, 640, 480);

        Assert.Equal([(100, 82), (100, 100), (100, 300), (220, 82)], plates.Select(p => (p.Left, p.Top)));
    }

    [Fact]
    public void Where_there_is_no_room_labels_cover_as_little_as_possible()
    {
        var frame = new PixelRect(0, 0, 100, 30);

        // Two plates of 18 rows on a canvas of 30: one at the top, the other 6 rows into it.
        PixelRect[] plates = LabelLayout.Place([frame, new PixelRect(0, 30, 100, 30)], [100, 100], Height, 100, 30);

        Assert.Equal([new PixelRect(0, 0, 100, 18), new PixelRect(0, 12, 100, 30)], plates);
    }

    [Fact]
    public void Plates_stay_inside_any_canvas()
    {
        var cases =
            from width in Gen.Choose(1, 300)
            from height in Gen.Choose(1, 300)
            from frames in Frames(width, height).ListOf()
            from plate in Gen.Choose(1, 500)
            select (width, height, frames, plate);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            int[] widths = [.. Enumerable.Repeat(c.plate, c.frames.Count)];
            PixelRect[] plates = LabelLayout.Place([.. c.frames], widths, Height, c.width, c.height);
            return plates.Length == c.frames.Count && Array.TrueForAll(plates, p =>
                p.Left >= 0 && p.Top >= 0 && p.Right <= c.width && p.Bottom <= c.height
                && p.Width == Math.Min(c.plate, c.width) && p.Height == Math.Min(Height, c.height));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Six_labels_never_overlap_where_there_is_room()
    {
        var cases =
            from frames in Frames(640, 480).ListOf(6)
            from widths in Gen.Choose(20, 640).ListOf(6)
            select (frames, widths);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            PixelRect[] plates = LabelLayout.Place([.. c.frames], [.. c.widths], Height, 640, 480);
            return plates.Select((plate, i) => plates.Take(i).All(other => plate.SharedWith(other) == 0)).All(apart => apart);
        }).QuickCheckThrowOnFailure();
    }

    private static Gen<PixelRect> Frames(int width, int height) =>
        from left in Gen.Choose(0, width - 1)
        from top in Gen.Choose(0, height - 1)
        from right in Gen.Choose(left + 1, width)
        from bottom in Gen.Choose(top + 1, height)
        select new PixelRect(left, top, right, bottom);
}
