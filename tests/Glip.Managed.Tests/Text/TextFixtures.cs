using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Text;
using Xunit.Abstractions;
using TestData = Glip.Tests.TestData; // FsCheck has one, too

namespace Glip.Managed.Tests.Text;

/// <summary>Recorded answers of the original, the vocabularies they were made with, and texts to try.</summary>
internal static class TextFixtures
{
    /// <summary>Names a copy of bert-base-uncased's vocab.txt, which is not part of this repository.</summary>
    public const string BertVocabularyVariable = "GLIP_BERT_VOCAB";

    public static Vocabulary MicroVocabulary { get; } = ReadVocabulary(TestData.Path("vocab_micro_3000.txt"));

    public static WordPieceTokenizer MicroTokenizer { get; } = new(MicroVocabulary);

    /// <summary>A tokenizer with BERT's vocabulary, or null, said aloud, where the machine has none.</summary>
    public static WordPieceTokenizer? BertTokenizer(ITestOutputHelper output)
    {
        if (Environment.GetEnvironmentVariable(BertVocabularyVariable) is { Length: > 0 } path)
            return new WordPieceTokenizer(ReadVocabulary(path));
        output.WriteLine($"not run: {BertVocabularyVariable} does not name bert-base-uncased's vocab.txt");
        return null;
    }

    public static JsonElement Read(string name)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(TestData.Path("text", name)));
        return document.RootElement.Clone();
    }

    public static int[] Integers(this JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];

    public static string[] Strings(this JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetString()!)];

    /// <summary>Reads <c>[[[begin, end], …], …]</c>: for each label its spans.</summary>
    public static (int Begin, int End)[][] Spans(this JsonElement labels) =>
    [
        .. labels.EnumerateArray().Select(label =>
            label.EnumerateArray().Select(span => (span[0].GetInt32(), span[1].GetInt32())).ToArray()),
    ];

    public static (int Begin, int End)[] Positions(this Prompt prompt) => [.. prompt.Phrases.Select(phrase => (phrase.Begin, phrase.End))];

    /// <summary>Compares with a recorded <c>{"label": [token, …]}</c>.</summary>
    public static void AssertEqual(JsonElement labelToTokens, PositiveMap map)
    {
        Assert.Equal(labelToTokens.EnumerateObject().Count(), map.LabelCount);
        foreach (var label in labelToTokens.EnumerateObject())
            Assert.Equal(label.Value.Integers(), map.TokensOf(int.Parse(label.Name)).ToArray());
    }

    /// <summary>Strings of any UTF-16 units, unpaired surrogates among them, mixed with what the tokenizer treats specially.</summary>
    public static Arbitrary<string> AnyText { get; } = MakeAnyText();

    private static Arbitrary<string> MakeAnyText()
    {
        var letters = Gen.Choose('a', 'z').Select(unit => ((char)unit).ToString());
        var units = Gen.Choose(0, 0xFFFF).Select(unit => ((char)unit).ToString());
        var codePoints = Gen.Choose(0x10000, 0x10FFFF).Select(char.ConvertFromUtf32);
        var special = Gen.Elements(
            " ", ".", " . ", "\t\r\n", "[MASK]", "[SEP]", "[CLS", "#", "##a",
            "\u0301", "\uD800", "\uDC00", "\u200B", "日本", "한국", "İ", "ﬁ",
            new string('x', 101));
        return Gen.Frequency((4, letters), (2, units), (1, codePoints), (3, special)).ListOf().Select(string.Concat).ToArbitrary();
    }

    private static Vocabulary ReadVocabulary(string path) => Vocabulary.Parse(File.ReadAllBytes(path), path);
}
