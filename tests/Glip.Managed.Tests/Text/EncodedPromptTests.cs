using System.Text.Json;
using Glip.Managed.Text;
using Xunit.Abstractions;

namespace Glip.Managed.Tests.Text;

public sealed class EncodedPromptTests(ITestOutputHelper output)
{
    private const int MaxQueryLength = 256;

    private static readonly JsonElement MicroRuns = TextFixtures.Read("micro_cases.json");

    public static TheoryData<string> MicroRunNames => [.. MicroRuns.EnumerateArray().Select(run => run.GetProperty("case").GetString()!)];

    [Theory]
    [MemberData(nameof(MicroRunNames))]
    public void EncodesTheMicroRunsAsRecorded(string name)
    {
        JsonElement run = MicroRuns.EnumerateArray().Single(run => run.GetProperty("case").GetString() == name);
        JsonElement caption = run.GetProperty("caption");
        var spans = run.GetProperty("tokens_positive").Spans();
        Prompt prompt = caption.ValueKind == JsonValueKind.Array
            ? Prompt.FromCategories(caption.Strings())
            : Prompt.FromSpans(caption.GetString()!, spans);
        EncodedPrompt encoded = EncodedPrompt.Encode(prompt, TextFixtures.MicroTokenizer, MaxQueryLength);

        Assert.Equal(run.GetProperty("caption_string").GetString(), prompt.Caption);
        Assert.Equal(spans.Select(label => label[0]), prompt.Positions());
        Assert.Equal(run.GetProperty("input_ids").Integers(), encoded.Ids.ToArray());
        Assert.Equal(run.GetProperty("n_tokens").GetInt32(), encoded.Tokens.Count);
        Assert.Equal(run.GetProperty("n_tokens_untruncated").GetInt32(), encoded.UntruncatedCount);
        TextFixtures.AssertEqual(run.GetProperty("positive_map_label_to_token"), encoded.PositiveMap);
    }

    [Fact]
    public void EncodesCategoryListsAsRecordedWithBertVocabulary()
    {
        if (TextFixtures.BertTokenizer(output) is not { } tokenizer)
            return;
        foreach (JsonElement recorded in TextFixtures.Read("category_lists.json").EnumerateArray())
        {
            Prompt prompt = Prompt.FromCategories(recorded.GetProperty("categories").Strings());
            EncodedPrompt encoded = EncodedPrompt.Encode(prompt, tokenizer, MaxQueryLength);

            var padding = Enumerable.Repeat(tokenizer.Vocabulary.PadId, MaxQueryLength - encoded.Ids.Length);
            Assert.Equal(recorded.GetProperty("n_tokens").GetInt32(), encoded.UntruncatedCount);
            Assert.Equal(recorded.GetProperty("ids256").Integers(), encoded.Ids.ToArray().Concat(padding));
            Assert.Equal(encoded.Ids.Length, recorded.GetProperty("mask256").Integers().Sum());
            TextFixtures.AssertEqual(recorded.GetProperty("label_to_tokens"), encoded.PositiveMap);
        }
    }

    // "cat . red car . " is [CLS] cat . red car . [SEP]: seven tokens, 'car' at 4.
    [Theory]
    [InlineData(8, new int[0], "[CLS] cat . red car . [SEP]")]
    [InlineData(7, new int[0], "[CLS] cat . red car . [SEP]")]
    [InlineData(6, new int[0], "[CLS] cat . red car [SEP]")]
    [InlineData(5, new[] { 2 }, "[CLS] cat . red [SEP]")]
    [InlineData(4, new[] { 2 }, "[CLS] cat . [SEP]")]
    [InlineData(3, new[] { 2 }, "[CLS] cat [SEP]")]
    public void NamesTheLabelsThatTheLimitCuts(int maxQueryLength, int[] truncatedLabels, string tokens)
    {
        EncodedPrompt encoded = EncodedPrompt.Encode(
            Prompt.FromCategories(["cat", "red car"]), TextFixtures.MicroTokenizer, maxQueryLength);

        Assert.Equal(tokens.Split(' '), encoded.Tokens.Select(token => token.Text));
        Assert.Equal(encoded.Tokens.Select(token => token.Id), encoded.Ids.ToArray());
        Assert.Equal(7, encoded.UntruncatedCount);
        Assert.Equal(maxQueryLength < 7, encoded.IsTruncated);
        Assert.Equal(truncatedLabels, encoded.TruncatedLabels);
    }

    [Fact]
    public void NamesTheLabelsOfALongRun()
    {
        JsonElement run = MicroRuns.EnumerateArray().Single(run => run.GetProperty("case").GetString() == "c6_truncated_256");
        EncodedPrompt encoded = EncodedPrompt.Encode(
            Prompt.FromCategories(run.GetProperty("caption").Strings()), TextFixtures.MicroTokenizer, MaxQueryLength);

        // Label 56 still has position 255 in the map, but the model sees [SEP] there.
        Assert.Equal([56, 57, 58, 59, 60], encoded.TruncatedLabels);
        Assert.Equal([255], encoded.PositiveMap.TokensOf(56).ToArray());
        Assert.Equal("[SEP]", encoded.Tokens[255].Text);
    }

    [Fact]
    public void ThrowsForALimitWithoutRoom() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => EncodedPrompt.Encode("cat", TextFixtures.MicroTokenizer, 2));
}
