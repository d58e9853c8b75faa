using Glip.Managed;
using Glip.Managed.Imaging;
using Glip.Managed.Model;
using Glip.Managed.Model.Fusion;
using Glip.Managed.Text;

namespace Glip.Tests.Detector;

public class WorkspaceLimitTests
{
    private static readonly NoisePicture s_picture = new(150, 90);
    private static readonly DetectOptions s_options = new() { MinSize = 64 };

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Exactly_what_a_call_needs_is_enough(int threads)
    {
        using GlipDetector detector = GlipDetector.Load(SmallModel.Weights(), Options(threads, Needed(threads)));
        detector.Detect(s_picture.View, SmallModel.Prompt, s_options);
        Assert.True(detector.ReservedBytes <= Needed(threads));
    }

    [Fact]
    public void One_byte_less_is_refused_before_any_work_with_the_bytes_and_the_size()
    {
        long needed = Needed(threads: 1);
        using GlipDetector detector = GlipDetector.Load(SmallModel.Weights(), Options(1, needed - 1));
        var stages = new List<string>();
        var refused = Assert.Throws<ArgumentException>(
            () => detector.Trace(s_picture.View, SmallModel.Prompt, new StageAction(stages.Add), s_options));
        Assert.Empty(stages);
        Assert.Contains($"needs {needed} bytes", refused.Message, StringComparison.Ordinal);
        Assert.Contains("106x64", refused.Message, StringComparison.Ordinal);
        Assert.Contains($"{nameof(GlipOptions.MaxWorkspaceBytes)} allows {needed - 1}", refused.Message, StringComparison.Ordinal);
        Assert.Equal(0, detector.ReservedBytes);
        detector.Detect(s_picture.View, SmallModel.Prompt, s_options with { MinSize = 32 });
    }

    [Fact]
    public void More_tokens_and_pixels_need_more()
    {
        using GlipDetector detector = SmallModel.Load();
        long small = detector.WorkspaceBytes(64, 64, SmallModel.Prompt, s_options);
        Assert.True(detector.WorkspaceBytes(64, 128, SmallModel.Prompt, s_options) > small);
        Assert.True(detector.WorkspaceBytes(64, 64, Prompt.FromCategories(Enumerable.Repeat("red dog", 20)), s_options) > small);
    }

    [Fact]
    public void More_memory_than_an_array_can_hold_is_refused_with_the_size()
    {
        // Wide at full resolution like GLIP-L, of small depth.
        var wide = SmallModel.Config with
        {
            Swin = new() { EmbedDim = 192, Depths = [1, 1, 1, 1], Heads = [6, 12, 24, 48], WindowSize = 7 },
        };
        AssertTooLarge(wide, SmallModel.Prompt);
    }

    [Fact]
    public void So_is_a_single_buffer_longer_than_a_span()
    {
        // The original's order of fusion projects all visual tokens to its inner width.
        var wide = SmallModel.Config with { Fusion = SmallModel.Config.Fusion! with { EmbedDim = 2048 } };
        AssertTooLarge(wide, SmallModel.Prompt, new GlipOptions { FusionOrder = FusionOrder.Plain });
    }

    private static void AssertTooLarge(GlipConfig config, Prompt prompt, GlipOptions? options = null)
    {
        const int Side = 8192;
        using GlipDetector detector = GlipDetector.Load(SmallModel.Weights(config), options);
        var refused = Assert.Throws<ArgumentException>(
            () => detector.Detect(new ImageView(new byte[Side * Side], Side, Side, PixelFormat.Gray8), prompt, new DetectOptions { MinSize = 0 }));
        Assert.Contains("8192x8192", refused.Message, StringComparison.Ordinal);
        Assert.Contains("more than an array can hold", refused.Message, StringComparison.Ordinal);
    }

    private static GlipOptions Options(int threads, long limit) => new() { Threads = threads, MaxWorkspaceBytes = limit };

    private static long Needed(int threads)
    {
        using GlipDetector detector = SmallModel.Load(threads);
        return detector.WorkspaceBytes(90, 150, SmallModel.Prompt, s_options);
    }
}
