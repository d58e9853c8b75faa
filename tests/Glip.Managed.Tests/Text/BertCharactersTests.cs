using System.Globalization;
using System.Text.Json;
using Glip.Managed.Text;

namespace Glip.Managed.Tests.Text;

public sealed class BertCharactersTests
{
    private const int CodePointCount = 0x110000;

    [Fact]
    public void NormalizesEveryCodePointAsRecorded()
    {
        JsonElement classes = TextFixtures.Read("unicode_classes.json");
        int[]?[] expected = new int[CodePointCount][];
        foreach (int c in CodePointsOf(classes, "removed"))
            expected[c] = [];
        foreach (int c in CodePointsOf(classes, "space"))
            expected[c] = [' '];
        foreach (int c in CodePointsOf(classes, "cjk"))
            expected[c] = [' ', c, ' '];
        foreach (var entry in classes.GetProperty("map").EnumerateObject())
        {
            int c = int.Parse(entry.Name, CultureInfo.InvariantCulture);
            expected[c] = [.. entry.Value.GetString()!.EnumerateRunes().Select(rune => rune.Value)];
        }

        int[] actual = new int[BertCharacters.LongestNormalized];
        for (int c = 0; c < CodePointCount; c++)
        {
            if (IsHangulSyllable(c))
                continue;
            int count = BertCharacters.Normalize(c, actual);
            if (!actual.AsSpan(0, count).SequenceEqual(expected[c] ?? [c]))
                Assert.Fail($"U+{c:X4}: expected [{string.Join(' ', expected[c] ?? [c])}], found [{string.Join(' ', actual[..count])}]");
        }
    }

    [Fact]
    public void DecomposesEveryHangulSyllable()
    {
        int[] jamo = new int[BertCharacters.LongestNormalized];
        for (int c = 0xAC00; c <= 0xD7A3; c++)
        {
            int count = BertCharacters.Normalize(c, jamo);
            int tail = count == 3 ? jamo[2] - 0x11A7 : 0;
            Assert.True(count == 2 || tail is > 0 and < 28);
            Assert.Equal(c, 0xAC00 + (jamo[0] - 0x1100) * 588 + (jamo[1] - 0x1161) * 28 + tail);
        }

        // The Unicode Standard's own example
        Assert.Equal(3, BertCharacters.Normalize(0xD4DB, jamo));
        Assert.Equal([0x1111, 0x1171, 0x11B6], jamo);
    }

    [Fact]
    public void KnowsEveryPunctuationMark()
    {
        JsonElement classes = TextFixtures.Read("unicode_classes.json");
        var expected = CodePointsOf(classes, "punct").ToHashSet();
        Assert.Equal(expected, Enumerable.Range(0, CodePointCount).Where(BertCharacters.IsPunctuation).ToHashSet());
        Assert.True(BertCharacters.IsPunctuation('$'));
        Assert.False(BertCharacters.IsPunctuation('€'));
    }

    private static bool IsHangulSyllable(int c) => c is >= 0xAC00 and <= 0xD7A3;

    private static IEnumerable<int> CodePointsOf(JsonElement classes, string name) =>
        classes.GetProperty("ranges").GetProperty(name).EnumerateArray()
            .SelectMany(range => Enumerable.Range(range[0].GetInt32(), range[1].GetInt32() - range[0].GetInt32() + 1));
}
