using FsCheck;
using FsCheck.Fluent;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Memory;
using Glip.Managed.Model;
using Glip.Managed.Postprocessing;
using Glip.Managed.Text;
using Glip.Tests.Detector;

namespace Glip.Tests.Memory;

/// <summary>A plan is the forward pass without memory: it must say exactly what the real one then uses.</summary>
public class WorkspacePlanTests
{
    [Theory]
    [InlineData(1, 256, true)]
    [InlineData(3, 256, true)]
    [InlineData(1, 24, true)]
    [InlineData(1, 24, false)]
    public void A_call_of_any_size_uses_exactly_what_was_planned_and_releases_it(int threads, int maxQueryLength, bool fusion)
    {
        GlipConfig config = (fusion ? SmallModel.Config : SmallModel.WithoutFusion) with { MaxQueryLength = maxQueryLength };
        using var pool = new WorkerPool(threads);
        using Managed.Weights.WeightSource weights = SmallModel.Weights(config);
        using var store = new Managed.Weights.WeightStore(weights, SimdIsas.Best);
        var model = new GlipModel(weights, new KernelContext(SimdIsas.Best, pool), store);
        var prompts = new EncodedPrompts(new WordPieceTokenizer(Vocabulary.Parse(SmallModel.Vocabulary, "test")), maxQueryLength);
        var postProcessor = new AtssPostProcessor(AtssSettings.Of(SmallModel.Config));
        var options = new DetectOptions { MinSize = 0 };
        Gen<(int Width, int Height, int Words)> calls =
            from width in Gen.Choose(1, 200)
            from height in Gen.Choose(1, 200)
            from words in Gen.Choose(1, 60)
            select (width, height, words);

        Prop.ForAll(calls.ToArbitrary(), call =>
        {
            var session = new DetectorSession(model, prompts, new TextCache(1 << 20), postProcessor, SimdIsas.Best, pool, new GlipOptions());
            var picture = new NoisePicture(call.Width, call.Height);
            var prompt = Prompt.FromCategories(Enumerable.Repeat("dog", call.Words));
            long planned = session.PlanBytes(call.Height, call.Width, prompt, options);
            session.Detect(picture.View, prompt, options);
            Assert.Equal(session.Workspace.Capacity, session.Workspace.PeakFloats);
            Assert.Equal(planned, session.ReservedBytes);
            Assert.Equal(0, session.Workspace.Rented);
        }).QuickCheckThrowOnFailure();
    }
}
