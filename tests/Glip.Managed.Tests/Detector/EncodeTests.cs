using System.Collections.Concurrent;
using Glip.Managed;
using Glip.Managed.Imaging;
using Glip.Managed.Text;

namespace Glip.Tests.Detector;

/// <summary>One picture, many prompts; many pictures: to the bit what single calls find.</summary>
public class EncodeTests
{
    private static readonly NoisePicture s_picture = new(150, 90);
    private static readonly DetectOptions s_options = new() { Threshold = 0, MinSize = 64, TokenScores = true };
    private static readonly Prompt[] s_prompts = ["person . dog . red car", "car", Prompt.FromCategories(["dog", "tree"])];

    [Theory]
    [InlineData(true, 1)]
    [InlineData(true, 2)]
    [InlineData(false, 1)]
    public void Features_and_a_prompt_give_what_the_picture_and_the_prompt_give(bool fusion, int threads)
    {
        using GlipDetector detector = Load(fusion, threads);
        using ImageFeatures features = detector.Encode(s_picture.View, s_options);

        // Twice: no prompt may change the features.
        foreach (Prompt prompt in s_prompts.Concat(s_prompts))
        {
            string expected = SmallModel.Exact(detector.Detect(s_picture.View, prompt, s_options));
            Assert.NotEmpty(expected);
            Assert.Equal(expected, SmallModel.Exact(detector.Detect(features, prompt, s_options)));
        }
    }

    [Fact]
    public void Features_know_their_sizes_and_give_their_memory_back()
    {
        using GlipDetector detector = Load();
        ImageFeatures features = detector.Encode(s_picture.View, s_options);
        Assert.Equal((90, 150, 64, 106, 64, 128), (
            features.Geometry.SourceHeight, features.Geometry.SourceWidth, features.Geometry.Height, features.Geometry.Width,
            features.Geometry.PaddedHeight, features.Geometry.PaddedWidth));

        // 8×16, 4×8, 2×4, 1×2 and 1×1 cells of 32 channels.
        Assert.Equal((128 + 32 + 8 + 2 + 1) * 32 * sizeof(float), features.Bytes);
        features.Dispose();
        features.Dispose();
        Assert.Equal(0, features.Bytes);
        Assert.Throws<ObjectDisposedException>(() => detector.Detect(features, s_prompts[0], s_options));
    }

    [Fact]
    public void Features_of_another_detector_are_refused()
    {
        using GlipDetector one = Load(), other = Load();
        using ImageFeatures features = one.Encode(s_picture.View, s_options);
        Assert.Equal("features", Assert.Throws<ArgumentException>(() => other.Detect(features, s_prompts[0], s_options)).ParamName);
        Assert.Equal("features", Assert.Throws<ArgumentNullException>(() => one.Detect(null!, s_prompts[0], s_options)).ParamName);
        Assert.Equal("prompt", Assert.Throws<ArgumentNullException>(() => one.Detect(features, null!, s_options)).ParamName);
        one.Dispose();
        Assert.Throws<ObjectDisposedException>(() => one.Encode(s_picture.View));
        Assert.Throws<ObjectDisposedException>(() => one.Detect(features, s_prompts[0]));
        Assert.Throws<ObjectDisposedException>(() => one.DetectBatch([Memory(s_picture)], s_prompts[..1]));
    }

    [Fact]
    public void Callers_share_features_at_the_same_time()
    {
        using GlipDetector detector = Load(threads: 2);
        using ImageFeatures features = detector.Encode(s_picture.View, s_options);
        string[] expected = [.. s_prompts.Select(prompt => SmallModel.Exact(detector.Detect(s_picture.View, prompt, s_options)))];
        var failures = new ConcurrentQueue<string>();
        Thread[] callers = [.. s_prompts.Select((_, first) => new Thread(() => Call(first)))];
        foreach (Thread caller in callers)
            caller.Start();
        foreach (Thread caller in callers)
            caller.Join();
        Assert.Empty(failures);

        void Call(int first)
        {
            for (int i = 0; i < 6; i++)
            {
                int which = (first + i) % s_prompts.Length;
                if (SmallModel.Exact(detector.Detect(features, s_prompts[which], s_options)) != expected[which])
                    failures.Enqueue($"prompt {which} gave another result");
            }
        }
    }

    [Fact]
    public void The_memory_limit_holds_for_both_halves()
    {
        long whole;
        using (GlipDetector detector = Load())
            whole = detector.WorkspaceBytes(90, 150, s_prompts[0], s_options);
        using GlipDetector enough = GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Threads = 1, MaxWorkspaceBytes = whole });
        using ImageFeatures features = enough.Encode(s_picture.View, s_options);
        enough.Detect(features, s_prompts[0], s_options);
        Assert.InRange(enough.ReservedBytes, 1, whole);
        using GlipDetector little = GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Threads = 1, MaxWorkspaceBytes = 1000 });
        var refused = Assert.Throws<ArgumentException>(() => little.Encode(s_picture.View, s_options));
        Assert.Contains("a 106x64 input needs", refused.Message, StringComparison.Ordinal);
        Assert.Equal(0, little.ReservedBytes);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_batch_gives_what_its_calls_give(bool fusion)
    {
        using GlipDetector detector = Load(fusion);
        NoisePicture[] pictures = [s_picture, new(70, 40, seed: 2), s_picture, new(33, 99, seed: 3)];
        Prompt[] prompts = [s_prompts[0], s_prompts[1], s_prompts[2], s_prompts[0]];
        IReadOnlyList<IReadOnlyList<Detection>> found = detector.DetectBatch([.. pictures.Select(Memory)], prompts, s_options);
        Assert.Equal(pictures.Zip(prompts, (picture, prompt) => SmallModel.Exact(detector.Detect(picture.View, prompt, s_options))), found.Select(SmallModel.Exact));
        found = detector.DetectBatch([.. pictures.Select(Memory)], prompts[..1], s_options);
        Assert.Equal(pictures.Select(picture => SmallModel.Exact(detector.Detect(picture.View, prompts[0], s_options))), found.Select(SmallModel.Exact));
        Assert.Empty(detector.DetectBatch([], [], s_options));
    }

    [Fact]
    public void A_batch_needs_one_prompt_or_one_a_picture()
    {
        using GlipDetector detector = Load();
        ImageMemory image = Memory(s_picture);
        var refused = Assert.Throws<ArgumentException>(() => detector.DetectBatch([image, image, image], s_prompts[..2], s_options));
        Assert.Equal("prompts", refused.ParamName);
        Assert.Contains("each of the 3 pictures, found 2", refused.Message, StringComparison.Ordinal);
        Assert.Equal("images", Assert.Throws<ArgumentNullException>(() => detector.DetectBatch(null!, s_prompts)).ParamName);
        Assert.Equal("prompts", Assert.Throws<ArgumentNullException>(() => detector.DetectBatch([image], null!)).ParamName);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => detector.DetectBatch([image], s_prompts[..1], s_options, cancelled.Token));
    }

    private static ImageMemory Memory(NoisePicture picture) => picture.Memory;

    private static GlipDetector Load(bool fusion = true, int threads = 1) =>
        GlipDetector.Load(SmallModel.Weights(fusion ? SmallModel.Config : SmallModel.WithoutFusion), new GlipOptions { Threads = threads });
}
