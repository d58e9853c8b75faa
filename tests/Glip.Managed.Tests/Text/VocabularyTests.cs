using System.Text;
using Glip.Managed.Text;
using Glip.Tests.Memory;

namespace Glip.Managed.Tests.Text;

public sealed class VocabularyTests
{
    private static readonly string[] Lines = ["[UNK]", "cat", "[SEP]", "##s", "[PAD]", "日本", "[CLS]"];

    [Theory]
    [InlineData("\n", "\n")]
    [InlineData("\n", "")]
    [InlineData("\r\n", "\r\n")]
    [InlineData("\r\n", "")]
    public void NumbersLinesFromZero(string lineEnd, string fileEnd)
    {
        Vocabulary vocabulary = Parse(string.Join(lineEnd, Lines) + fileEnd);

        Assert.Equal(Lines.Length, vocabulary.Count);
        for (int id = 0; id < Lines.Length; id++)
        {
            Assert.Equal(Lines[id], vocabulary[id]);
            Assert.True(vocabulary.TryGetId(Lines[id], out int found));
            Assert.Equal(id, found);
        }

        Assert.False(vocabulary.TryGetId("dog", out _));
        Assert.False(vocabulary.TryGetId("", out _));
    }

    [Fact]
    public void FindsSpecialTokensByText()
    {
        Vocabulary vocabulary = Parse(string.Join('\n', Lines));

        Assert.Equal(0, vocabulary.UnknownId);
        Assert.Equal(2, vocabulary.SeparatorId);
        Assert.Equal(4, vocabulary.PadId);
        Assert.Equal(6, vocabulary.ClassId);
        Assert.Null(vocabulary.MaskId);
        Assert.Equal(7, Parse(string.Join('\n', [.. Lines, "[MASK]"])).MaskId);
    }

    [Fact]
    public void ReadsTheMicroVocabulary()
    {
        Vocabulary vocabulary = TextFixtures.MicroVocabulary;

        Assert.Equal(3000, vocabulary.Count);
        Assert.Equal(
            (0, 100, 101, 102, 103),
            (vocabulary.PadId, vocabulary.UnknownId, vocabulary.ClassId, vocabulary.SeparatorId, vocabulary.MaskId!.Value));
    }

    [Fact]
    public void IgnoresAByteOrderMark() => Assert.Equal("[UNK]", Parse("\uFEFF" + string.Join('\n', Lines))[0]);

    [Fact]
    public void LookupAllocatesNothing()
    {
        Vocabulary vocabulary = TextFixtures.MicroVocabulary;
        char[] text = [.. "a person"];

        Assert.Equal(0, AllocatedBytes.OfThread(() => Assert.True(vocabulary.TryGetId(text.AsSpan(2), out _))));
    }

    [Theory]
    [InlineData("[PAD]")]
    [InlineData("[UNK]")]
    [InlineData("[CLS]")]
    [InlineData("[SEP]")]
    public void ThrowsWithoutASpecialToken(string missing)
    {
        var error = Assert.Throws<GlipFormatException>(() => Parse(string.Join('\n', Lines.Where(line => line != missing))));
        Assert.Contains("words.txt", error.Message, StringComparison.Ordinal);
        Assert.Contains(missing, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a\nb\na\n", "line 3: 'a' stands on line 1")]
    [InlineData("a\n\nb\n", "line 2: expected a token")]
    [InlineData("", "line 1: expected a token")]
    public void ThrowsNamingTheLine(string file, string message)
    {
        var error = Assert.Throws<GlipFormatException>(() => Parse(file));
        Assert.Contains("words.txt, " + message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ThrowsForBytesThatAreNotUtf8() =>
        Assert.Throws<GlipFormatException>(() => Vocabulary.Parse([(byte)'a', 0xFF, (byte)'\n'], "words.txt"));

    [Theory]
    [InlineData(-1)]
    [InlineData(3000)]
    public void ThrowsForNumbersOutside(int id) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => TextFixtures.MicroVocabulary[id]);

    private static Vocabulary Parse(string text) => Vocabulary.Parse(Encoding.UTF8.GetBytes(text), "words.txt");
}
