using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Text;

namespace Glip.Managed.Tests.Text;

public sealed class PromptTests
{
    [Theory]
    [InlineData("person . dog . umbrella . red car .", "person|dog|umbrella|red car")]
    [InlineData("person. dog. cat", "person|dog|cat")]
    [InlineData("a.b.c", "a|b|c")]
    [InlineData("  red car  ", "red car")]
    [InlineData(" . ..\tcat\n. ", "cat")]
    [InlineData("😀 face.日本", "😀 face|日本")]
    [InlineData("dog . dog", "dog|dog")]
    public void ParsesPhrasesBetweenFullStops(string sentence, string phrases)
    {
        Prompt prompt = sentence;

        Assert.Equal(sentence, prompt.Caption);
        Assert.Equal(sentence, prompt.ToString());
        Assert.Equal(phrases.Split('|'), prompt.Phrases.Select(phrase => phrase.Text));
    }

    [Fact]
    public void ParsesAnyTextIntoThePhrasesThatStandThere() =>
        Prop.ForAll(TextFixtures.AnyText, text =>
        {
            if (text.Split('.').All(string.IsNullOrWhiteSpace))
                Assert.Throws<ArgumentException>(() => Prompt.Parse(text));
            else
                AssertPhrasesStandInCaption(Prompt.Parse(text));
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void PutsCategoriesIntoTheCaptionAsRecorded()
    {
        foreach (JsonElement recorded in TextFixtures.Read("category_lists.json").EnumerateArray())
        {
            string[] categories = recorded.GetProperty("categories").Strings();
            Prompt prompt = Prompt.FromCategories(categories);

            Assert.Equal(recorded.GetProperty("caption").GetString(), prompt.Caption);
            Assert.Equal(categories, prompt.Phrases.Select(phrase => phrase.Text));
            Assert.Equal(recorded.GetProperty("tokens_positive").Spans().Select(spans => spans[0]), prompt.Positions());
            AssertPhrasesStandInCaption(prompt);
        }
    }

    [Fact]
    public void KeepsCategoriesAsTheyAre() =>
        Assert.Equal([new PhraseSpan(" U.S. flag ", 0, 11)], Prompt.FromCategories([" U.S. flag "]).Phrases);

    [Fact]
    public void TakesSpansInCodePoints()
    {
        Prompt prompt = Prompt.FromSpans("😀 face, 日本 dog", [(2, 6), (8, 10), (0, 1)]);

        Assert.Equal([new PhraseSpan("face", 2, 6), new PhraseSpan("日本", 8, 10), new PhraseSpan("😀", 0, 1)], prompt.Phrases);
    }

    [Fact]
    public void TakesSeveralSpansForALabel()
    {
        Prompt prompt = Prompt.FromSpans("a dog and another dog", [[(2, 5), (18, 21)], [(10, 17)]]);

        Assert.Equal([new PhraseSpan("dog", 2, 5), new PhraseSpan("another", 10, 17)], prompt.Phrases);
        Assert.Equal([(2, 5), (18, 21)], prompt.SpansOf(1).ToArray());
        Assert.Equal([(10, 17)], prompt.SpansOf(2).ToArray());
    }

    [Fact]
    public void FindsPhrasesWhereTheyFirstStand()
    {
        Prompt prompt = Prompt.FromPhrases("😀 Dog category (cat) cat dog", ["cat", "(cat)", "dog", "😀"]);

        Assert.Equal([(6, 9), (15, 20), (25, 28), (0, 1)], prompt.Positions());
        AssertPhrasesStandInCaption(prompt);
    }

    [Fact]
    public void FindsNoPhraseInsideASurrogatePair()
    {
        Assert.Equal([(2, 3)], Prompt.FromPhrases("😀 \uDE00", ["\uDE00"]).Positions());
        Assert.Throws<ArgumentException>(() => Prompt.FromPhrases("😀", ["\uDE00"]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("  ")]
    [InlineData(" . .. ")]
    public void SaysWhatToWriteForAnEmptyPrompt(string sentence)
    {
        AssertSaysWhatToWrite(() => Prompt.Parse(sentence));
        AssertSaysWhatToWrite(() => Prompt.FromCategories([]));
        AssertSaysWhatToWrite(() => Prompt.FromSpans(sentence, Array.Empty<(int, int)>()));
        AssertSaysWhatToWrite(() => Prompt.FromPhrases(sentence, []));

        static void AssertSaysWhatToWrite(Func<Prompt> prompt) =>
            Assert.Contains("\"person . red car\"", Assert.Throws<ArgumentException>(prompt).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1, 2)]
    [InlineData(2, 2)]
    [InlineData(3, 2)]
    [InlineData(0, 6)]
    [InlineData(6, 7)]
    [InlineData(int.MinValue, int.MaxValue)]
    public void ThrowsForASpanOutsideTheCaption(int begin, int end)
    {
        var error = Assert.Throws<ArgumentException>(() => Prompt.FromSpans("😀 cat", [(0, 1), (begin, end)]));
        Assert.Contains($"label 2: expected a span in 0..5, not empty, found [{begin}, {end})", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ThrowsNamingTheFaultyEntry()
    {
        AssertThrows("categories[1]", () => Prompt.FromCategories(["cat", " "]));
        AssertThrows("phrases[1]", () => Prompt.FromPhrases("a cat", ["cat", ""]));
        AssertThrows("phrases[1], 'Cat'", () => Prompt.FromPhrases("a cat", ["cat", "Cat"]));
        AssertThrows("label 2", () => Prompt.FromSpans("a cat", [[(0, 1)], []]));

        static void AssertThrows(string entry, Func<Prompt> prompt) =>
            Assert.Contains(entry, Assert.Throws<ArgumentException>(prompt).Message, StringComparison.Ordinal);
    }

    private static void AssertPhrasesStandInCaption(Prompt prompt)
    {
        int[] starts = CodePoints.Starts(prompt.Caption);
        foreach (PhraseSpan phrase in prompt.Phrases)
            Assert.Equal(phrase.Text, prompt.Caption[starts[phrase.Begin]..starts[phrase.End]]);
    }
}
