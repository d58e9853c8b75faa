using System.Text;
using Glip.Managed;
using Glip.Managed.Text;

namespace Glip.Tests.Detector;

/// <summary>Lists longer than the model reads at once: chunks of whole labels, one look at the picture.</summary>
public class ManyLabelsTests
{
    // Most tokens in these tests: the two specials and 14 of labels, with a stop after each.
    private const int MaxTokens = 16;
    private static readonly NoisePicture s_picture = new(120, 100);
    private static readonly DetectOptions s_options = new() { Threshold = 0, MinSize = 0, TokenScores = true };

    // Two chunks that are full to the last token, and one of a single label.
    private static readonly string[][] s_chunks =
    [
        ["person", "dog", "red car", "tree", "car", "red person"],
        ["dog", "red dog", "car", "person", "tree", "red tree"],
        ["a car"],
    ];

    private static readonly string[] s_labels = [.. s_chunks.SelectMany(chunk => chunk)];

    [Theory]
    [InlineData(true, 1, 100)]
    [InlineData(true, 2, 100)]
    [InlineData(false, 1, 100)]
    [InlineData(true, 1, 7)]
    [InlineData(false, 1, 250)]
    public void All_labels_give_the_best_of_what_their_chunks_give(bool fusion, int threads, int limit)
    {
        using GlipDetector detector = Load(fusion, threads);
        DetectOptions options = s_options with { MaxDetections = limit };
        string expected = SmallModel.Exact(Union(detector, options, Prompt.FromCategories(s_labels)));
        Assert.Equal(expected, SmallModel.Exact(detector.Detect(s_picture.View, s_labels, options)));
        Assert.Equal(expected, SmallModel.Exact(detector.Detect(s_picture.View, Prompt.FromCategories(s_labels), options)));
        using ImageFeatures features = detector.Encode(s_picture.View, options);
        Assert.Equal(expected, SmallModel.Exact(detector.Detect(features, Prompt.FromCategories(s_labels), options)));
    }

    [Fact]
    public void A_threshold_cuts_the_same_list()
    {
        using GlipDetector detector = Load(fusion: true);
        IReadOnlyList<Detection> all = detector.Detect(s_picture.View, s_labels, s_options);
        Assert.True(all.Count >= 100);
        Assert.Equal(3, all.Select(found => found.Label switch { <= 6 => 0, <= 12 => 1, _ => 2 }).Distinct().Count());
        DetectOptions options = s_options with { Threshold = all[40].Score };
        Assert.Equal(SmallModel.Exact([.. all.Where(found => found.Score > all[40].Score)]), SmallModel.Exact(detector.Detect(s_picture.View, s_labels, options)));
    }

    [Fact]
    public void A_sentence_of_phrases_is_a_list_too_and_its_spans_are_the_sentences()
    {
        using GlipDetector detector = Load(fusion: true);
        var sentence = Prompt.Parse(" " + string.Join(". ", s_labels).Replace("tree", "tree ", StringComparison.Ordinal));
        IReadOnlyList<Detection> found = detector.Detect(s_picture.View, sentence, s_options);
        Assert.Contains(found, f => f.Label == 13);
        Assert.All(found, f => Assert.Equal(s_labels[f.Label - 1], f.Phrase.Text));
        Assert.All(found, f => Assert.Equal(f.Phrase.Text, sentence.Caption[f.Phrase.Begin..f.Phrase.End]));
        Assert.Equal(
            SmallModel.Exact(Union(detector, s_options, sentence)),
            SmallModel.Exact(found));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_image_is_encoded_once_and_without_fusion_the_tower_runs_once(bool fusion)
    {
        using GlipDetector detector = Load(fusion);
        Dictionary<string, long> one = Work(s_chunks[0]), all = Work(s_labels);
        foreach (string stage in (string[])["swin.stage0", "swin.stage3", "fpn"])
            Assert.Equal(one[stage], all[stage]);
        Assert.Equal((fusion ? 3 : 1) * one["DyConv"], all["DyConv"]);
        Assert.Equal(fusion, all.ContainsKey("VLFuse"));
        Assert.True(all["bert"] > 2 * one["bert"]);

        Dictionary<string, long> Work(string[] labels) =>
            detector.Profile(s_picture.View, Prompt.FromCategories(labels), s_options).ToDictionary(stage => stage.Name, stage => stage.MultiplyAdds);
    }

    [Fact]
    public void A_label_that_is_too_long_alone_is_refused_by_name_or_cut_if_allowed()
    {
        using GlipDetector detector = Load(fusion: true);
        string endless = string.Join(' ', Enumerable.Repeat("red", MaxTokens - 1)) + " tree";
        string[] labels = ["person", "dog", endless, "car"];
        var refused = Assert.Throws<ArgumentException>(() => detector.Detect(s_picture.View, labels, s_options));
        Assert.Equal("prompt", refused.ParamName);
        Assert.Contains("phrase 3,", refused.Message, StringComparison.Ordinal);
        Assert.Contains($"reads {MaxTokens}", refused.Message, StringComparison.Ordinal);
        Assert.All(detector.Detect(s_picture.View, labels, s_options with { AllowTruncatedPrompt = true }), f => Assert.InRange(f.Label, 1, 3));

        // The longest that fits: 13 words and the stop.
        labels[2] = string.Join(' ', Enumerable.Repeat("red", MaxTokens - 3));
        Assert.Contains(detector.Detect(s_picture.View, labels, s_options), f => f.Label == 3);
    }

    [Fact]
    public void A_trace_shows_one_pass_and_refuses_what_does_not_fit()
    {
        using GlipDetector detector = Load(fusion: true);
        var stages = new List<string>();
        var sink = new StageAction(stages.Add);
        Assert.Throws<ArgumentException>(() => detector.Trace(s_picture.View, Prompt.FromCategories(s_labels), sink, s_options));
        Assert.Empty(stages);
        detector.Trace(s_picture.View, Prompt.FromCategories(s_labels), sink, s_options with { AllowTruncatedPrompt = true });
        Assert.Single(stages, "lang.hidden");
    }

    [Fact]
    public void As_many_names_as_lvis_has_fit_in_one_call()
    {
        // Words of the vocabulary, some names of two.
        string[] words = [.. Encoding.UTF8.GetString(SmallModel.Vocabulary).Split('\n').Where(word => word.Length > 2 && word.All(char.IsAsciiLetterLower))];
        string[] names = [.. Enumerable.Range(0, 1203).Select(i => i % 3 == 0 ? $"{words[i % words.Length]} {words[(7 * i) % words.Length]}" : words[i % words.Length])];
        using GlipDetector detector = SmallModel.Load();
        IReadOnlyList<Detection> found = detector.Detect(s_picture.View, names, s_options);
        Assert.True(found.Count >= 100);
        Assert.All(found, f => Assert.Equal(names[f.Label - 1], f.Phrase.Text));
        Assert.Equal(found.OrderByDescending(f => f.Score), found);
        Assert.Contains(found, f => f.Label > 600);
    }

    [Fact]
    public void A_call_between_chunks_can_be_cancelled_and_leaves_the_detector_usable()
    {
        using GlipDetector detector = Load(fusion: true);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        using ImageFeatures features = detector.Encode(s_picture.View, s_options);
        Assert.Throws<OperationCanceledException>(() => detector.Detect(features, Prompt.FromCategories(s_labels), s_options, cancelled.Token));
        Assert.NotEmpty(detector.Detect(features, Prompt.FromCategories(s_labels), s_options));
    }

    /// <summary>The rule, written down once more: each chunk as a prompt of its own, then the best of all, ties with the last included.</summary>
    private static Detection[] Union(GlipDetector detector, DetectOptions options, Prompt prompt)
    {
        var all = new List<Detection>();
        int before = 0;
        foreach (string[] chunk in s_chunks)
        {
            int end = before + chunk.Length;
            string caption = prompt.Caption[(before == 0 ? 0 : prompt.Phrases[before].Begin)..(end == s_labels.Length ? prompt.Caption.Length : prompt.Phrases[end].Begin)];
            IReadOnlyList<Detection> found = detector.Detect(s_picture.View, Prompt.Parse(caption), options);
            Assert.Equal(chunk, Prompt.Parse(caption).Phrases.Select(phrase => phrase.Text));
            Assert.NotEmpty(found);
            all.AddRange(found.Select(f => f with { Label = before + f.Label, Phrase = prompt.Phrases[before + f.Label - 1] }));
            before = end;
        }

        Detection[] sorted = [.. all.OrderByDescending(f => f.Score).ThenBy(f => f.Label).ThenBy(f => f.Box.X1).ThenBy(f => f.Box.Y1).ThenBy(f => f.Box.X2).ThenBy(f => f.Box.Y2)];
        int limit = options.MaxDetections ?? 100;
        return sorted.Length <= limit ? sorted : [.. sorted.Where(f => f.Score >= sorted[limit - 1].Score)];
    }

    private static GlipDetector Load(bool fusion, int threads = 1) => GlipDetector.Load(
        SmallModel.Weights((fusion ? SmallModel.Config : SmallModel.WithoutFusion) with { MaxQueryLength = MaxTokens }), new GlipOptions { Threads = threads });
}
