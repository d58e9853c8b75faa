using Glip.Managed;

namespace Glip.Tests.Detector;

public class CancellationTests
{
    private static readonly NoisePicture s_picture = new(70, 40);
    private static readonly DetectOptions s_options = new() { Threshold = 0, MinSize = 0 };

    [Fact]
    public void A_token_cancelled_before_the_call_ends_it()
    {
        using GlipDetector detector = SmallModel.Load();
        var cancelled = new CancellationToken(canceled: true);
        Assert.Throws<OperationCanceledException>(() => detector.Detect(s_picture.View, SmallModel.Prompt, s_options, cancelled));
        var sink = new StageAction(name => Assert.Fail($"stage {name} ran"));
        Assert.Throws<OperationCanceledException>(() => detector.Trace(s_picture.View, SmallModel.Prompt, sink, s_options, null, cancelled));
    }

    [Fact]
    public void Cancelled_at_any_stage_a_call_ends_soon_and_the_next_one_is_unharmed()
    {
        using GlipDetector detector = SmallModel.Load(threads: 2);
        string expected = SmallModel.Exact(detector.Detect(s_picture.View, SmallModel.Prompt, s_options));
        var stages = new List<string>();
        detector.Trace(s_picture.View, SmallModel.Prompt, new StageAction(stages.Add), s_options);

        // The head is the last that looks.
        int last = stages.FindLastIndex(name => name.StartsWith("tower.", StringComparison.Ordinal));
        Assert.True(last > 20);
        for (int i = 0; i <= last; i++)
        {
            using var source = new CancellationTokenSource();
            var seen = new List<string>();
            var sink = new StageAction(name =>
            {
                seen.Add(name);
                if (seen.Count == i + 1)
                    source.Cancel();
            });
            var thrown = Assert.Throws<OperationCanceledException>(
                () => detector.Trace(s_picture.View, SmallModel.Prompt, sink, s_options, null, source.Token));
            Assert.Equal(source.Token, thrown.CancellationToken);
            Assert.DoesNotContain(stages[last + 1], seen);
            Assert.Equal(expected, SmallModel.Exact(detector.Detect(s_picture.View, SmallModel.Prompt, s_options)));
        }
    }

    [Fact]
    public void Cancelled_while_a_long_list_is_read_a_call_ends_before_the_next_chunk()
    {
        using GlipDetector detector = SmallModel.Load();
        string[] names = [.. Enumerable.Range(0, 300).Select(i => i % 2 == 0 ? "red apple" : "dog")];
        string expected = SmallModel.Exact(detector.Detect(s_picture.View, names, s_options));
        using var source = new CancellationTokenSource();
        source.CancelAfter(1);
        try
        {
            for (int i = 0; i < 100; i++)
                detector.Detect(s_picture.View, names, s_options, source.Token);
            Assert.Fail("a hundred long calls ran to their ends");
        }
        catch (OperationCanceledException e)
        {
            Assert.Equal(source.Token, e.CancellationToken);
        }

        Assert.Equal(expected, SmallModel.Exact(detector.Detect(s_picture.View, names, s_options)));
    }

    [Fact]
    public void A_token_cancelled_after_the_last_layer_changes_nothing()
    {
        using GlipDetector detector = SmallModel.Load();
        using var source = new CancellationTokenSource();
        var stages = new List<string>();
        var sink = new StageAction(name =>
        {
            stages.Add(name);
            if (name == "det.scores")
                source.Cancel();
        });
        detector.Trace(s_picture.View, SmallModel.Prompt, sink, s_options, null, source.Token);
        Assert.Equal("final.labels", stages[^1]);
    }
}
