using Glip.Managed;
using Glip.Managed.Text;

namespace Glip.Tests.Detector;

/// <summary>The text encoder runs once a text, and nobody can tell from the results.</summary>
public class TextReuseTests
{
    private static readonly NoisePicture s_picture = new(70, 40);
    private static readonly DetectOptions s_options = new() { Threshold = 0, MinSize = 0, TokenScores = true };

    [Fact]
    public void A_text_that_comes_again_is_found_whatever_prompt_picture_or_session_it_comes_with()
    {
        using GlipDetector detector = SmallModel.Load();
        string first = Run(detector, "person . dog");
        Assert.Equal((0, 1), (detector.Texts.Hits, detector.Texts.Misses));
        Assert.Equal(first, Run(detector, "person . dog"));
        Assert.Equal((1, 1), (detector.Texts.Hits, detector.Texts.Misses));
        Assert.NotEqual(first, Run(detector, "person . car"));
        Assert.Equal((1, 2), (detector.Texts.Hits, detector.Texts.Misses));
        detector.Detect(new NoisePicture(33, 50).View, "person . dog", s_options);

        // A call inside another's trace has a session of its own; the trace itself shows the encoder at work.
        var sink = new StageAction(name => Assert.True(name != "fpn.P3" || Run(detector, "person . dog") == first));
        detector.Trace(s_picture.View, "person . dog", sink, s_options);
        Assert.Equal((3, 2), (detector.Texts.Hits, detector.Texts.Misses));
        Assert.Equal(2, detector.Texts.Count);
    }

    [Fact]
    public void Without_room_every_call_encodes_to_the_same_results()
    {
        using GlipDetector with = SmallModel.Load(), without = GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Threads = 1, MaxTextCacheBytes = 0 });
        for (int again = 0; again < 2; again++)
            Assert.Equal(Run(with, "person . dog"), Run(without, "person . dog"));
        Assert.Equal((0, 2, 0), (without.Texts.Hits, without.Texts.Misses, without.Texts.Bytes));
    }

    [Fact]
    public void Many_texts_stay_within_the_limit()
    {
        const int Limit = 5000;
        using GlipDetector detector = GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Threads = 1, MaxTextCacheBytes = Limit });
        string[] prompts = [.. Enumerable.Range(1, 6).Select(words => string.Join(" . ", Enumerable.Repeat("dog", words)))];
        string[] first = [.. prompts.Select(prompt => Run(detector, prompt))];
        Assert.InRange(detector.Texts.Bytes, 1, Limit);
        Assert.InRange(detector.Texts.Count, 1, prompts.Length - 1);
        Assert.Equal(first, prompts.Select(prompt => Run(detector, prompt)));
        Assert.InRange(detector.Texts.Bytes, 1, Limit);
    }

    [Fact]
    public void A_trace_and_a_profile_show_the_encoder_after_a_hit_too()
    {
        using GlipDetector detector = SmallModel.Load();
        for (int again = 0; again < 2; again++)
            Run(detector, "person . dog");
        var stages = new List<string>();
        detector.Trace(s_picture.View, "person . dog", new StageAction(stages.Add), s_options);
        Assert.Contains("bert.layer.0", stages);
        Assert.Contains(detector.Profile(s_picture.View, "person . dog", s_options), stage => stage is { Name: "bert", MultiplyAdds: > 0 });
    }

    [Fact]
    public void A_call_that_is_cancelled_keeps_no_half_made_text()
    {
        using GlipDetector detector = SmallModel.Load();
        using var cancelled = new CancellationTokenSource();
        var sink = new StageAction(name =>
        {
            if (name == "bert.embeddings")
                cancelled.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => detector.Trace(s_picture.View, "dog", sink, s_options, null, cancelled.Token));
        Assert.Equal(0, detector.Texts.Count);
    }

    [Fact]
    public void A_negative_limit_is_refused()
    {
        var refused = Assert.Throws<ArgumentOutOfRangeException>(
            () => GlipDetector.Load(SmallModel.Weights(), new GlipOptions { MaxTextCacheBytes = -1 }));
        Assert.Equal("options.MaxTextCacheBytes", refused.ParamName);
    }

    private static string Run(GlipDetector detector, string prompt)
    {
        IReadOnlyList<Detection> found = detector.Detect(s_picture.View, prompt, s_options);
        Assert.NotEmpty(found);
        return SmallModel.Exact(found);
    }
}
