using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Imaging.Drawing;
using Glip.Managed.Text;

namespace Glip.Managed.Tests.Imaging;

public class DetectionPainterTests
{
    [Theory]
    [InlineData(640, 480, 1)]
    [InlineData(480, 640, 1)]
    [InlineData(639, 10, 2)]
    [InlineData(256, 256, 3)]
    [InlineData(128, 160, 4)]
    [InlineData(1, 1, 4)]
    public void Small_pictures_are_enlarged(int width, int height, int factor)
    {
        byte[] pixels = [.. Enumerable.Range(0, width * height * 3).Select(i => (byte)(i * 7))];
        var image = new ImageView(pixels, width, height, PixelFormat.Rgb24);

        DecodedImage painted = DetectionPainter.Paint(image, []);

        Assert.Equal((width * factor, height * factor), (painted.Width, painted.Height));
        for (int y = 0; y < painted.Height; y++)
        {
            for (int x = 0; x < painted.Width; x++)
                Assert.Equal(Pixel(image, x / factor, y / factor), Pixel(painted.View, x, y));
        }
    }

    [Fact]
    public void Frame_runs_along_the_box()
    {
        var image = new ImageView(new byte[700 * 500], 700, 500, PixelFormat.Gray8);

        DecodedImage painted = DetectionPainter.Paint(image, [Found(100, 200, 299, 399, 0.5f, 1, "dog")]);

        Rgb color = Rgb.ForLabel(1);
        Assert.All(Enumerable.Range(100, 200), x => Assert.Equal((color, color), (Pixel(painted.View, x, 200), Pixel(painted.View, x, 399))));
        Assert.All(Enumerable.Range(200, 200), y => Assert.Equal((color, color), (Pixel(painted.View, 100, y), Pixel(painted.View, 299, y))));
        Assert.Equal(Rgb.Black, Pixel(painted.View, 99, 300));
        Assert.Equal(Rgb.Black, Pixel(painted.View, 300, 300));
        Assert.Equal(Rgb.Black, Pixel(painted.View, 200, 300));
        Assert.Equal(Rgb.Black, Pixel(painted.View, 200, 400));
    }

    [Fact]
    public void Frame_shows_on_its_own_color()
    {
        Rgb color = Rgb.ForLabel(1);
        byte[] pixels = [.. Enumerable.Repeat<byte[]>([color.Red, color.Green, color.Blue], 700 * 500).SelectMany(p => p)];

        DecodedImage painted = DetectionPainter.Paint(new ImageView(pixels, 700, 500, PixelFormat.Rgb24), [Found(100, 200, 299, 399, 0.5f, 1, "dog")]);

        Assert.All(Enumerable.Range(102, 196), x => Assert.Equal(color.Contrast, Pixel(painted.View, x, 397)));
        Assert.Equal(color, Pixel(painted.View, 200, 398));
    }

    [Fact]
    public void Label_stands_above_its_frame_or_inside_where_there_is_no_room()
    {
        var image = new ImageView(new byte[700 * 500], 700, 500, PixelFormat.Gray8);
        Rgb color = Rgb.ForLabel(2);

        DecodedImage above = DetectionPainter.Paint(image, [Found(100, 200, 299, 399, 0.5f, 2, "dog")]);
        DecodedImage inside = DetectionPainter.Paint(image, [Found(100, 5, 299, 399, 0.5f, 2, "dog")]);

        Assert.Equal(color, Pixel(above.View, 100, 199));
        Assert.Equal(Rgb.Black, Pixel(inside.View, 100, 4));
        Assert.Equal(color, Pixel(inside.View, 102, 8)); // the blank margin left of the text
    }

    [Fact]
    public void Labels_of_equal_boxes_do_not_cover_each_other()
    {
        var image = new ImageView(new byte[700 * 500], 700, 500, PixelFormat.Gray8);
        Detection[] detections = [.. Enumerable.Range(1, 3).Select(i => Found(100, 100, 400, 400, 1f / i, i, ""))];

        DecodedImage painted = DetectionPainter.Paint(image, detections);

        // A label that nothing covers: 3 digits and a point on a plate of 18 rows.
        int[] sizes = [.. Enumerable.Range(1, 3).Select(label => Count(painted, Rgb.ForLabel(label)))];
        Assert.InRange(sizes[1], 400, sizes[0]);
        Assert.InRange(sizes[2], 400, sizes[0]);
    }

    [Theory]
    [InlineData(640, 2)]
    [InlineData(1599, 3)]
    [InlineData(4000, 10)]
    public void Lines_are_wider_on_larger_pictures(int width, int line)
    {
        var image = new ImageView(new byte[width * 200], width, 200, PixelFormat.Gray8);

        DecodedImage painted = DetectionPainter.Paint(image, [Found(50, 120, width - 50, 190, 0.5f, 1, "")]);

        Rgb color = Rgb.ForLabel(1);
        Assert.Equal(line, Enumerable.Range(0, 50).Count(dy => Pixel(painted.View, width / 2, 190 - dy) == color));
    }

    [Fact]
    public void Size_is_kept_on_request()
    {
        var image = new ImageView(new byte[40 * 30], 40, 30, PixelFormat.Gray8);

        DecodedImage painted = DetectionPainter.Paint(image, [Found(1, 2, 30, 20, 0.5f, 1, "dog")], enlargeSmall: false);

        Assert.Equal((40, 30), (painted.Width, painted.Height));
        Assert.Contains(painted.Pixels, b => b != 0);
    }

    [Fact]
    public void Picture_itself_is_not_changed()
    {
        byte[] pixels = new byte[700 * 30];

        _ = DetectionPainter.Paint(new ImageView(pixels, 700, 30, PixelFormat.Gray8), [Found(0, 0, 50, 20, 0.9f, 1, "x")]);

        Assert.All(pixels, b => Assert.Equal(0, b));
    }

    [Fact]
    public void Any_box_on_any_picture_can_be_drawn()
    {
        Gen<float> coordinate = Gen.Choose(-50, 400).Select(v => v * 1.7f);
        var cases =
            from width in Gen.Choose(1, 200)
            from height in Gen.Choose(1, 200)
            from x1 in coordinate
            from y1 in coordinate
            from x2 in coordinate
            from y2 in coordinate
            from label in Gen.Choose(1, 200)
            from phrase in Gen.Choose(0, 0xFFFF).Select(c => (char)c).ArrayOf().Select(c => new string(c))
            select (width, height, found: Found(x1, y1, x2, y2, 0.123f, label, phrase));
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            var image = new ImageView(new byte[c.width * c.height], c.width, c.height, PixelFormat.Gray8);
            DecodedImage painted = DetectionPainter.Paint(image, [c.found, c.found]);
            DecodedImage again = DetectionPainter.Paint(image, [c.found, c.found]);
            return painted.Pixels.Length % (c.width * c.height) == 0 && Array.Exists(painted.Pixels, b => b != 0)
                && painted.Pixels.AsSpan().SequenceEqual(again.Pixels);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Labels_keep_their_color_and_neighbors_differ()
    {
        Assert.Equal(Rgb.ForLabel(7), Rgb.ForLabel(7));
        Assert.Equal(80, Enumerable.Range(1, 80).Select(Rgb.ForLabel).Distinct().Count());
        Assert.All(Enumerable.Range(1, 80), label =>
        {
            (Rgb a, Rgb b) = (Rgb.ForLabel(label), Rgb.ForLabel(label + 1));
            Assert.InRange(Math.Abs(a.Red - b.Red) + Math.Abs(a.Green - b.Green) + Math.Abs(a.Blue - b.Blue), 150, 765);
        });
    }

    [Fact]
    public void Text_can_be_read_on_every_labels_color() =>
        Assert.All(Enumerable.Range(1, 360), label => Assert.InRange(Rgb.ForLabel(label).ContrastWith(Rgb.ForLabel(label).Contrast), 4.5, 21));

    private static Detection Found(float x1, float y1, float x2, float y2, float score, int label, string phrase) =>
        new(new Box(x1, y1, x2, y2), score, label, new PhraseSpan(phrase, 0, phrase.Length));

    private static Rgb Pixel(ImageView image, int x, int y)
    {
        ReadOnlySpan<byte> pixel = image.Row(y).Slice(x * 3, 3);
        return new Rgb(pixel[0], pixel[1], pixel[2]);
    }

    private static int Count(DecodedImage image, Rgb color)
    {
        int count = 0;
        for (int i = 0; i < image.Pixels.Length; i += 3)
            count += new Rgb(image.Pixels[i], image.Pixels[i + 1], image.Pixels[i + 2]) == color ? 1 : 0;
        return count;
    }
}
