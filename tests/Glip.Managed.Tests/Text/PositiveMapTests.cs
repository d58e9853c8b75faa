using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Text;
using Xunit.Abstractions;

namespace Glip.Managed.Tests.Text;

public sealed class PositiveMapTests(ITestOutputHelper output)
{
    private const int MaxQueryLength = 256;

    [Fact]
    public void MapsRecordedSentences()
    {
        if (TextFixtures.BertTokenizer(output) is not { } tokenizer)
            return;
        foreach (JsonElement recorded in TextFixtures.Read("ner.json").EnumerateArray())
        {
            var spans = recorded.GetProperty("tokens_positive").Spans();
            if (spans.Length == 0)
                continue; // the original goes on and finds nothing, here such a prompt is an error
            Prompt prompt = Prompt.FromSpans(recorded.GetProperty("caption").GetString()!, spans);
            TextFixtures.AssertEqual(recorded.GetProperty("label_to_tokens"), Build(prompt, tokenizer));
        }
    }

    [Theory]
    [InlineData("cat  dog", 3, 8, new[] { 2 })]        // forwards over two blanks to dog
    [InlineData("cat   dog", 3, 9, new int[0])]        // three are too many
    [InlineData("dog  cat", 0, 5, new[] { 1 })]        // backwards over two blanks to dog
    [InlineData("dog   cat", 0, 6, new int[0])]
    [InlineData("cat  dog", 3, 5, new int[0])]         // between words: the first token is dog, the last is cat
    [InlineData("cat \u200B\u200B", 4, 6, new int[0])] // dropped characters, then the end of the text
    [InlineData("\u200B cat", 0, 2, new int[0])]       // the beginning of the text
    public void StepsOverAtMostTwoCharactersWithoutToken(string caption, int begin, int end, int[] tokens) =>
        Assert.Equal(tokens, TokensOf(caption, (begin, end)));

    [Fact]
    public void TakesTheUnionOfALabelsSpans() =>
        Assert.Equal([1, 2, 4], TokensOf("a dog and cat", (10, 13), (0, 5), (2, 5)));

    [Fact]
    public void MapsEveryCategoryToItsOwnTokens() =>
        Prop.ForAll(
            Gen.Elements(WordsOf(TextFixtures.MicroVocabulary)).NonEmptyListOf().NonEmptyListOf().ToArbitrary(),
            lists =>
            {
                string[] categories = [.. lists.Select(words => string.Join(' ', words))];
                Prompt prompt = Prompt.FromCategories(categories);
                TokenizedText text = TextFixtures.MicroTokenizer.Encode(prompt.Caption);
                PositiveMap map = PositiveMap.Build(text, prompt, text.Tokens.Count);

                int next = 1;
                for (int label = 1; label <= categories.Length; label++)
                {
                    int[] positions = map.TokensOf(label).ToArray();
                    var own = TextFixtures.MicroTokenizer.Encode(categories[label - 1]).Tokens.Skip(1).SkipLast(1);
                    Assert.Equal(own.Select(token => token.Id), positions.Select(position => text.Tokens[position].Id));
                    Assert.Equal(Enumerable.Range(next, positions.Length), positions);
                    next += positions.Length + 1; // the full stop
                }
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void MapsMoreLabelsThanTheOriginalCan()
    {
        Prompt prompt = Prompt.FromCategories(Enumerable.Repeat("cat", 300));
        PositiveMap map = Build(prompt, TextFixtures.MicroTokenizer);

        Assert.Equal(300, map.LabelCount);
        Assert.Equal([201], map.TokensOf(101).ToArray());
        Assert.Equal([255], map.TokensOf(128).ToArray()); // where the model sees [SEP], as in the original
        Assert.Empty(map.TokensOf(129).ToArray());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void ThrowsForLabelsOutside(int label) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Build(Prompt.Parse("cat"), TextFixtures.MicroTokenizer).TokensOf(label).Length);

    private static int[] TokensOf(string caption, params (int Begin, int End)[] spans) =>
        Build(Prompt.FromSpans(caption, [spans]), TextFixtures.MicroTokenizer).TokensOf(1).ToArray();

    private static PositiveMap Build(Prompt prompt, WordPieceTokenizer tokenizer) =>
        PositiveMap.Build(tokenizer.Encode(prompt.Caption), prompt, MaxQueryLength);

    private static string[] WordsOf(Vocabulary vocabulary) =>
    [
        .. Enumerable.Range(0, vocabulary.Count).Select(id => vocabulary[id]).Where(token => token.All(char.IsAsciiLetterLower)),
        "jalapeño", "日本",
    ];
}
