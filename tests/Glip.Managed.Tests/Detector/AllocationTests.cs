using Glip.Managed;
using Glip.Managed.Text;
using Glip.Tests.Memory;

namespace Glip.Tests.Detector;

/// <summary>Measurements of the whole process, so nothing else may run beside them.</summary>
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
[Collection(nameof(AllocationTests))]
public class AllocationTests
{
    private const int ArrayHeader = 24;
    private static readonly NoisePicture s_picture = new(150, 90);
    private static readonly DetectOptions s_none = new() { Threshold = 1, MinSize = 64 };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_repeated_call_without_results_allocates_nothing(int threads)
    {
        using GlipDetector detector = SmallModel.Load(threads);
        Detect(detector, s_none);
        Assert.Equal(0, AllocatedBytes.OfProcess(() => Detect(detector, s_none)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_repeated_call_allocates_its_results_and_no_byte_more(int threads)
    {
        using GlipDetector detector = SmallModel.Load(threads);
        IReadOnlyList<Detection> all = Detect(detector, s_none with { Threshold = 0 });
        Assert.True(all.Count >= 30, $"{all.Count} detections are too few to tell");
        Detection first = all[0];
        long size = AllocatedBytes.OfProcess(() => GC.KeepAlive(new Detection(first.Box, first.Score, first.Label, first.Phrase)));
        foreach (int wanted in (int[])[1, 2, 10, all.Count])
        {
            DetectOptions options = s_none with { Threshold = wanted == all.Count ? 0 : all[wanted].Score };
            int count = Detect(detector, options).Count;
            Assert.InRange(count, 1, wanted);
            Assert.Equal(ArrayHeader + (count * (sizeof(long) + size)), AllocatedBytes.OfProcess(() => Detect(detector, options)));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void After_a_larger_picture_a_smaller_one_needs_no_memory_of_its_own(int threads)
    {
        using GlipDetector detector = SmallModel.Load(threads);
        var larger = new NoisePicture(300, 200);
        detector.Detect(larger.View, SmallModel.Prompt, s_none with { MinSize = 200 });
        long reserved = detector.ReservedBytes;
        Assert.True(reserved >= detector.WorkspaceBytes(200, 300, SmallModel.Prompt, s_none with { MinSize = 200 }));

        // The change of size costs a plan, the second call nothing.
        Detect(detector, s_none);
        Assert.Equal(0, AllocatedBytes.OfProcess(() => Detect(detector, s_none)));
        Assert.Equal(reserved, detector.ReservedBytes);
    }

    [Fact]
    public void Memory_grows_to_what_the_largest_call_needs_and_stays()
    {
        using GlipDetector detector = SmallModel.Load();
        Assert.Equal(0, detector.ReservedBytes);
        long last = 0;
        foreach (int size in (int[])[32, 64, 128, 192])
        {
            DetectOptions options = s_none with { MinSize = size };
            Detect(detector, options);
            long reserved = detector.ReservedBytes;
            Assert.True(reserved > last, $"size {size}");
            for (int again = 0; again < 3; again++)
                Detect(detector, options);
            Assert.Equal(reserved, detector.ReservedBytes);
            last = reserved;
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Repeated_calls_on_features_and_of_many_labels_allocate_nothing(int threads)
    {
        using var detector = GlipDetector.Load(SmallModel.Weights(SmallModel.Config with { MaxQueryLength = 16 }), new GlipOptions { Threads = threads });
        var labels = Prompt.FromCategories(Enumerable.Repeat("red dog", 12));
        using ImageFeatures features = detector.Encode(s_picture.View, s_none);
        Call();
        long reserved = detector.ReservedBytes;
        Assert.Equal(0, AllocatedBytes.OfProcess(Call));
        Assert.Equal(reserved, detector.ReservedBytes);

        // Features are what encoding allocates: the object, its values and the pyramid's sizes are of the plan.
        long encoding = AllocatedBytes.OfProcess(() => detector.Encode(s_picture.View, s_none).Dispose());
        Assert.InRange(encoding, features.Bytes, features.Bytes + 200);

        void Call() => detector.Detect(features, labels, s_none);
    }

    /// <summary>Mixed sizes and prompts: after one round over all of them, memory stays what it is. <c>glip-bench memory --calls 1000</c> shows the whole process.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Calls_of_mixed_sizes_and_prompts_leave_memory_as_it_is(int threads)
    {
        using GlipDetector detector = SmallModel.Load(threads);
        NoisePicture[] pictures = [new(40, 60), new(150, 90), new(64, 64), new(90, 150)];
        Prompt[] prompts = [.. ((string[])["person", "dog . red car", "person . dog . umbrella . red car", "umbrella . umbrella . dog"]).Select(Prompt.Parse)];
        Round();
        long reserved = detector.ReservedBytes, kept = GC.GetTotalMemory(forceFullCollection: true), least = long.MaxValue;
        for (int window = 0; window < 5; window++)
        {
            for (int i = 0; i < 3; i++)
                Round();
            long now = GC.GetTotalMemory(forceFullCollection: true);
            (least, kept) = (Math.Min(least, now - kept), now);
        }

        // What a call kept would show in every window of 48 calls; what the runtime and other tests keep or let go shows in some.
        Assert.Equal(reserved, detector.ReservedBytes);
        Assert.True(least < 48 * 40, $"every 48 calls keep {least} bytes or more");

        void Round()
        {
            foreach (NoisePicture picture in pictures)
            {
                foreach (Prompt prompt in prompts)
                    detector.Detect(picture.View, prompt, new DetectOptions { MinSize = 0 });
            }
        }
    }

    private static IReadOnlyList<Detection> Detect(GlipDetector detector, DetectOptions options) =>
        detector.Detect(s_picture.View, SmallModel.Prompt, options);
}
