using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Text;
using Xunit.Abstractions;

namespace Glip.Managed.Tests.Text;

public sealed class WordPieceTokenizerTests(ITestOutputHelper output)
{
    private static readonly JsonElement Recorded = TextFixtures.Read("tokenizer.json");

    public static TheoryData<int> MicroCases => [.. Enumerable.Range(0, Recorded.GetProperty("micro3000").GetArrayLength())];

    [Theory]
    [MemberData(nameof(MicroCases))]
    public void EncodesAsRecorded(int index) =>
        AssertEncodes(Recorded.GetProperty("micro3000")[index], TextFixtures.MicroTokenizer);

    [Fact]
    public void EncodesAsRecordedWithBertVocabulary()
    {
        if (TextFixtures.BertTokenizer(output) is not { } tokenizer)
            return;
        foreach (JsonElement recorded in Recorded.GetProperty("full_vocab").EnumerateArray())
            AssertEncodes(recorded, tokenizer);
    }

    [Fact]
    public void CountsAnUnpairedSurrogateAsOneDroppedCharacter()
    {
        var tokens = TextFixtures.MicroTokenizer.Encode("\uD83Da \uDE00cat\uD83D").Tokens;

        Assert.Equal(["[CLS]", "a", "cat", "[SEP]"], tokens.Select(token => token.Text));
        Assert.Equal((1, 2), (tokens[1].Begin, tokens[1].End));
        Assert.Equal((4, 7), (tokens[2].Begin, tokens[2].End));
    }

    [Fact]
    public void CountsCodePointsAgainstTheWordLimit()
    {
        // 100 characters of two UTF-16 units each: spelled in full, or unknown as a whole with one more.
        Vocabulary vocabulary = Vocabulary.Parse("[PAD]\n[UNK]\n[CLS]\n[SEP]\n𝔸\n##𝔸\n"u8, "words.txt");
        var tokenizer = new WordPieceTokenizer(vocabulary);
        string longest = string.Concat(Enumerable.Repeat("𝔸", 100));

        Assert.Equal(102, tokenizer.Encode(longest).Tokens.Count);
        var unknown = Assert.Single(tokenizer.Encode(longest + "𝔸").Tokens, token => token.Id == vocabulary.UnknownId);
        Assert.Equal((0, 101), (unknown.Begin, unknown.End));
    }

    [Fact]
    public void ReadsMaskAsTextWhereTheVocabularyHasNone()
    {
        var tokenizer = new WordPieceTokenizer(Vocabulary.Parse("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[\n]\nmask\n"u8, "words.txt"));

        Assert.Equal(["[CLS]", "[", "mask", "]", "[SEP]"], tokenizer.Encode("[MASK]").Tokens.Select(token => token.Text));
    }

    [Fact]
    public void EncodesAnyTextWithRangesInOrder() =>
        Prop.ForAll(TextFixtures.AnyText, text =>
        {
            var tokens = TextFixtures.MicroTokenizer.Encode(text).Tokens;
            Assert.Equal(("[CLS]", 0, 0), (tokens[0].Text, tokens[0].Begin, tokens[0].End));
            Assert.Equal(("[SEP]", 0, 0), (tokens[^1].Text, tokens[^1].Begin, tokens[^1].End));

            int length = text.EnumerateRunes().Count();
            int begin = 0;
            int end = 0;
            foreach (Token token in tokens.Skip(1).SkipLast(1))
            {
                Assert.Equal(TextFixtures.MicroVocabulary[token.Id], token.Text);
                Assert.True(token.Begin >= begin && token.End >= end && token.Begin < token.End && token.End <= length, token.ToString());
                begin = token.Begin;
                end = token.End;
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void FindsTheFirstTokenThatCoversACharacter() =>
        Prop.ForAll(TextFixtures.AnyText, text =>
        {
            TokenizedText encoded = TextFixtures.MicroTokenizer.Encode(text);
            for (int character = -1; character <= text.Length; character++)
            {
                int expected = encoded.Tokens.ToList().FindIndex(token => token.Begin <= character && character < token.End);
                Assert.Equal(expected, encoded.PositionOf(character));
            }
        }).QuickCheckThrowOnFailure();

    private static void AssertEncodes(JsonElement recorded, WordPieceTokenizer tokenizer)
    {
        string text = recorded.GetProperty("text").GetString()!;
        TokenizedText encoded = tokenizer.Encode(text);

        Assert.Equal(text, encoded.Text);
        Assert.Equal(recorded.GetProperty("tokens").Strings(), encoded.Tokens.Select(token => token.Text));
        Assert.Equal(recorded.GetProperty("ids").Integers(), encoded.Tokens.Select(token => token.Id));
        Assert.Equal(
            recorded.GetProperty("offsets").EnumerateArray().Select(range => (range[0].GetInt32(), range[1].GetInt32())),
            encoded.Tokens.Select(token => (token.Begin, token.End)));
    }
}
