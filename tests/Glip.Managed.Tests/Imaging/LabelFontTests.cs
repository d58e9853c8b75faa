using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Imaging.Drawing;

namespace Glip.Managed.Tests.Imaging;

public class LabelFontTests
{
    [Theory]
    [InlineData(1, 15)]
    [InlineData(640, 15)]
    [InlineData(840, 21)]
    [InlineData(1200, 30)]
    [InlineData(1600, 30)]
    [InlineData(1680, 42)]
    [InlineData(3359, 42)]
    [InlineData(3360, 84)]
    [InlineData(6000, 126)]
    public void Letters_grow_with_the_picture(int side, int em)
    {
        LabelFont font = LabelFont.ForSide(side);

        Assert.Equal(em, font.Em);
        Assert.InRange(font.LineHeight, em, em * 1.5);
        Assert.InRange(font[new Rune('H')].Height, em * 0.65, em * 0.8);
    }

    [Theory]
    [InlineData(640)]
    [InlineData(840)]
    [InlineData(1200)]
    [InlineData(1680)]
    public void Every_character_has_a_drawing_of_its_own_inside_its_line(int side)
    {
        LabelFont font = LabelFont.ForSide(side);
        Rune[] characters = [.. font.Characters];

        Assert.Superset(
            Enumerable.Range(' ', 95).Concat(Enumerable.Range(0xC0, 64)).Append('…').Select(c => new Rune(c)).ToHashSet(), characters.ToHashSet());
        Assert.All(characters, c =>
        {
            Glyph glyph = font[c];
            Assert.Equal(Rune.IsWhiteSpace(c), glyph.Coverage.Length == 0);
            Assert.InRange(-glyph.Top, -font.LineHeight, font.Ascent);
            Assert.InRange(glyph.Top + glyph.Height, -font.Ascent, font.LineHeight - font.Ascent);
        });

        // The soft hyphen looks like a hyphen, letters like no other letter.
        Assert.All(characters.Where(Rune.IsLetterOrDigit), c => Assert.Single(characters, other => Looks(font[other]) == Looks(font[c])));
        Assert.Contains(font[new Rune('S')].Coverage, c => c is > 0 and < 255);
    }

    [Theory]
    [InlineData('\t')]
    [InlineData('ł')]
    [InlineData('日')]
    public void Other_characters_are_an_empty_square(char character)
    {
        LabelFont font = LabelFont.ForSide(1680);
        Glyph square = font[new Rune(character)];

        Assert.Same(font[new Rune(0x1F600)], square);
        Assert.Equal(255, square.Coverage[square.Height / 2 * square.Width + 1]);
        Assert.Equal(0, square.Coverage[square.Height / 2 * square.Width + square.Width / 2]);
    }

    [Fact]
    public void Enlarged_letters_cover_as_much()
    {
        Glyph small = LabelFont.ForSide(1680)[new Rune('g')];
        Glyph large = LabelFont.ForSide(5040)[new Rune('g')];

        Assert.Equal((small.Advance * 3, small.Left * 3, small.Top * 3, small.Width * 3, small.Height * 3), (large.Advance, large.Left, large.Top, large.Width, large.Height));
        Assert.InRange(large.Coverage.Average(c => c) / small.Coverage.Average(c => c), 0.97, 1.03);
        Assert.Equal(small.Coverage[small.Width + 5], large.Coverage[(3 + 1) * large.Width + 15 + 1]);
    }

    [Fact]
    public void Long_texts_are_shortened_so_that_the_ending_stays_visible()
    {
        LabelFont font = LabelFont.ForSide(640);
        int room = font.Measure("wwww… 0.25");

        Assert.Equal("wwww… 0.25", font.Fit(new string('w', 500), "0.25", room));
        Assert.Equal("www… 0.25", font.Fit(new string('w', 500), "0.25", room - 1));
        Assert.Equal("dog… 0.25", font.Fit("dog house with a door", "0.25", font.Measure("dog … 0.25")));
        Assert.Equal("dog 0.25", font.Fit("dog", "0.25", font.Measure("dog 0.25")));
        Assert.Equal("0.25", font.Fit("dog", "0.25", font.Measure("… 0.25")));
        Assert.Equal("0.25", font.Fit("dog", "0.25", 0));
        Assert.Equal("0.25", font.Fit("", "0.25", 1000));
    }

    [Fact]
    public void Any_text_fits_where_its_ending_does()
    {
        Gen<string> texts = Gen.Choose(0, 0xFFFF).Select(c => (char)c).ArrayOf().Select(c => new string(c));
        var cases = from text in texts from room in Gen.Choose(100, 2000) select (text, room);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            LabelFont font = LabelFont.ForSide(840);
            string fitted = font.Fit(c.text, "0.25", c.room);
            return fitted.EndsWith("0.25", StringComparison.Ordinal) && font.Measure(fitted) <= c.room;
        }).QuickCheckThrowOnFailure();
    }

    private static string Looks(Glyph glyph) => $"{glyph.Left} {glyph.Top} {glyph.Width} {Convert.ToHexString(glyph.Coverage)}";
}
