using System.Runtime.InteropServices;
using Glip.Managed;
using Glip.Managed.Diagnostics;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Tests.Detector;

public class PromptTests
{
    private static readonly NoisePicture s_picture = new(120, 100);
    private static readonly DetectOptions s_options = new() { Threshold = 0, MinSize = 0 };

    [Fact]
    public void A_sentence_over_the_models_length_is_refused_with_counts_and_the_first_phrases_that_are_cut()
    {
        using GlipDetector detector = SmallModel.Load();
        Prompt list = Long();
        var sentence = Prompt.FromSpans(list.Caption, list.Phrases.Select(phrase => (phrase.Begin, phrase.End)));
        var refused = Assert.Throws<ArgumentException>(() => detector.Detect(s_picture.View, sentence, s_options));
        Assert.Equal("prompt", refused.ParamName);
        Assert.Contains("has 402 tokens, this model reads 256", refused.Message, StringComparison.Ordinal);

        // Positions 0..254 stay: [CLS] and 127 phrases with their stops.
        Assert.Contains("73 of 200 phrases would be cut", refused.Message, StringComparison.Ordinal);
        Assert.Contains("from 'dog', 'dog', 'dog' on", refused.Message, StringComparison.Ordinal);
        Assert.Contains(nameof(DetectOptions.AllowTruncatedPrompt), refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void If_allowed_it_is_cut_and_the_phrases_that_stay_are_found()
    {
        using GlipDetector detector = SmallModel.Load();
        IReadOnlyList<Detection> found = detector.Detect(s_picture.View, Long(), s_options with { AllowTruncatedPrompt = true });
        Assert.NotEmpty(found);

        // Label 128's token is the one in whose place the model sees [SEP], as in the original.
        Assert.All(found, f => Assert.InRange(f.Label, 1, 128));
    }

    [Fact]
    public void Text_after_the_last_phrase_may_be_cut_without_a_word()
    {
        using GlipDetector detector = SmallModel.Load();
        var prompt = Prompt.FromPhrases("dog " + string.Concat(Enumerable.Repeat("car ", 300)), ["dog"]);
        Assert.NotEmpty(detector.Detect(s_picture.View, prompt, s_options));
    }

    [Fact]
    public void There_may_be_more_labels_than_the_originals_80()
    {
        using GlipDetector detector = SmallModel.Load();
        var prompt = Prompt.FromCategories(Enumerable.Range(0, 100).Select(i => i % 2 == 0 ? "dog" : "car"));
        IReadOnlyList<Detection> found = detector.Detect(s_picture.View, prompt, s_options);
        Assert.Contains(found, f => f.Label > 80);
        Assert.All(found, f => Assert.Equal(f.Label % 2 == 1 ? "dog" : "car", f.Phrase.Text));
    }

    [Fact]
    public void A_sentence_without_full_stops_is_one_phrase()
    {
        using GlipDetector detector = SmallModel.Load();
        IReadOnlyList<Detection> found = detector.Detect(s_picture.View, " a red car and a dog ", s_options);
        Assert.NotEmpty(found);
        Assert.All(found, f => Assert.Equal((1, new PhraseSpan("a red car and a dog", 1, 20)), (f.Label, f.Phrase)));
    }

    [Fact]
    public void A_label_without_tokens_is_never_found_and_leaves_the_others_as_they_are()
    {
        using GlipDetector detector = SmallModel.Load();
        const string Caption = "dog        car";
        IReadOnlyList<Detection> with = detector.Detect(s_picture.View, Prompt.FromSpans(Caption, [(0, 3), (6, 8), (11, 14)]), s_options);
        IReadOnlyList<Detection> without = detector.Detect(s_picture.View, Prompt.FromSpans(Caption, [(0, 3), (11, 14)]), s_options);
        Assert.Equal([1, 3], with.Select(f => f.Label).Distinct().Order());
        Assert.Equal(without.Select(f => (f.Box, f.Score, f.Phrase)), with.Select(f => (f.Box, f.Score, f.Phrase)));
        Assert.Empty(detector.Detect(s_picture.View, Prompt.FromSpans(Caption, [(6, 8)]), s_options));
    }

    [Fact]
    public void Token_scores_are_those_of_the_cell_that_won()
    {
        using GlipDetector detector = SmallModel.Load();
        var prompt = Prompt.Parse("person . red car . a dog");
        (int Label, int[] Positions, string[] Tokens)[] expected = [(1, [1], ["person"]), (2, [3, 4], ["red", "car"]), (3, [6, 7], ["a", "dog"])];
        IReadOnlyList<Detection> found = detector.Detect(s_picture.View, prompt, s_options with { TokenScores = true });
        var head = new HeadOutputs();
        detector.Trace(s_picture.View, prompt, head, s_options);
        Assert.Equal(3, found.Select(f => f.Label).Distinct().Count());
        foreach (Detection detection in found)
        {
            var (_, positions, tokens) = expected[detection.Label - 1];
            Assert.Equal(positions, detection.TokenScores.Select(t => t.Position));
            Assert.Equal(tokens, detection.TokenScores.Select(t => t.Token));

            // The score is the root of their mean times centerness: exactly one cell has both these probabilities and this score. The trace has logits of all tokens,
            // a wider product, whose sums may be taken in another order.
            float mean = detection.TokenScores.Average(t => t.Score);
            Assert.Contains(head.Cells(positions), cell =>
                cell.Tokens.Zip(detection.TokenScores, (traced, given) => Math.Abs(traced - given.Score)).All(difference => difference < 1e-6)
                && Math.Abs(Math.Sqrt(mean * cell.Centerness) - detection.Score) < 1e-6);
        }
    }

    [Fact]
    public void Token_scores_are_only_given_when_asked_for()
    {
        using GlipDetector detector = SmallModel.Load();
        Assert.All(detector.Detect(s_picture.View, SmallModel.Prompt, s_options), f => Assert.Empty(f.TokenScores));
    }

    private static Prompt Long() => Prompt.FromCategories(Enumerable.Repeat("dog", 200));

    /// <summary>Keeps logits and centerness of all levels, as probabilities.</summary>
    private sealed class HeadOutputs : IStageSink
    {
        private readonly List<(float[] Logits, int Tokens)> _logits = [];
        private readonly List<float[]> _centerness = [];

        public void Add(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data)
        {
            if (name.StartsWith("head.centerness.", StringComparison.Ordinal))
                _centerness.Add(Probabilities(data));
            if (name.StartsWith("head.dot_product_logits.", StringComparison.Ordinal))
                _logits.Add((Probabilities(data), shape[2]));
        }

        public IEnumerable<(float Centerness, float[] Tokens)> Cells(int[] positions)
        {
            for (int level = 0; level < _centerness.Count; level++)
            {
                var (logits, tokens) = _logits[level];
                for (int cell = 0; cell < _centerness[level].Length; cell++)
                    yield return (_centerness[level][cell], [.. positions.Select(p => logits[(cell * tokens) + p])]);
            }
        }

        private static float[] Probabilities(ReadOnlySpan<byte> data) =>
            [.. MemoryMarshal.Cast<byte, float>(data).ToArray().Select(x => 1 / (1 + MathF.Exp(-x)))];
    }
}
