using System.Collections.Concurrent;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Text;

namespace Glip.Tests.Detector;

/// <summary>A picture and a prompt have one result, to the last bit, whatever else happens.</summary>
public class DeterminismTests
{
    private static readonly DetectOptions s_options = new() { Threshold = 0, MinSize = 0, TokenScores = true };

    private static readonly (NoisePicture Picture, Prompt Prompt)[] s_calls =
    [
        (new(150, 90, seed: 1), "person . dog . red car"),
        (new(33, 210, seed: 2), "car"),
        (new(97, 64, seed: 3), Prompt.FromCategories(["dog", "red person", "tree", "car"])),
        (new(256, 130, seed: 4), "a red car and a dog"),
    ];

    [Theory]
    [EachIsa]
    public void The_number_of_threads_does_not_matter(SimdIsa isa)
    {
        using GlipDetector alone = Load(threads: 1), two = Load(threads: 2), three = Load(threads: 3);
        foreach (var call in s_calls)
        {
            string expected = Run(alone, call);
            Assert.Equal(expected, Run(two, call));
            Assert.Equal(expected, Run(three, call));
        }

        GlipDetector Load(int threads) => GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Threads = threads, Isa = isa.Name() });
    }

    [Fact]
    public void Calls_before_do_not_matter()
    {
        using GlipDetector used = SmallModel.Load(threads: 2);
        string[] first = [.. s_calls.Select(call => Run(used, call))];
        string[] second = [.. s_calls.Select(call => Run(used, call))];
        Assert.Equal(first, second);
        Assert.Equal(first[^1], Run(used, s_calls[^1])); // the same call twice in a row
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Calls_at_the_same_time_do_not_matter(int threads)
    {
        using GlipDetector detector = SmallModel.Load(threads);
        string[] expected = [.. s_calls.Select(call => Run(detector, call))];
        var failures = new ConcurrentQueue<string>();
        using var start = new Barrier(s_calls.Length);
        Thread[] callers = [.. s_calls.Select((_, first) => new Thread(() => Call(first)))];
        foreach (Thread caller in callers)
            caller.Start();
        foreach (Thread caller in callers)
            caller.Join();
        Assert.Empty(failures);

        void Call(int first)
        {
            start.SignalAndWait();
            for (int i = 0; i < 2 * s_calls.Length; i++)
            {
                // All start with different calls, so that sessions meet sizes and prompts that are not their last ones.
                int which = (first + i) % s_calls.Length;
                try
                {
                    if (Run(detector, s_calls[which]) != expected[which])
                        failures.Enqueue($"call {which} gave another result");
                }
                catch (Exception e)
                {
                    failures.Enqueue($"call {which}: {e}");
                }
            }
        }
    }

    [Fact]
    public void Calls_that_failed_do_not_matter()
    {
        using GlipDetector detector = SmallModel.Load(threads: 2);
        var (picture, prompt) = s_calls[0];
        string expected = Run(detector, s_calls[0]);
        foreach (string stage in (string[])["pre.input", "bert.layer.0", "fpn.P3", "tower.2.DyConv.visual.P7", "head.dot_product_logits.P3", "final.boxes"])
        {
            var sink = new StageAction(name => _ = name == stage ? throw new IOException(stage) : 0);
            Assert.Equal(stage, Assert.Throws<IOException>(() => detector.Trace(picture.View, prompt, sink, s_options)).Message);
            Assert.Equal(expected, Run(detector, s_calls[0]));
        }
    }

    [Fact]
    public void A_sink_may_use_the_detector_that_calls_it()
    {
        using GlipDetector detector = SmallModel.Load(threads: 2);
        string expected = Run(detector, s_calls[0]), inside = "";
        var sink = new StageAction(name => inside = name == "fpn.P3" ? Run(detector, s_calls[0]) : inside);
        detector.Trace(s_calls[1].Picture.View, s_calls[1].Prompt, sink, s_options);
        Assert.Equal(expected, inside);
    }

    private static string Run(GlipDetector detector, (NoisePicture Picture, Prompt Prompt) call)
    {
        IReadOnlyList<Detection> found = detector.Detect(call.Picture.View, call.Prompt, s_options);
        Assert.NotEmpty(found);
        return SmallModel.Exact(found);
    }
}
