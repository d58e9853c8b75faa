using FsCheck;
using FsCheck.Fluent;
using Glip.Kernels;
using Glip.Managed.Postprocessing;
using Glip.Tests;
using Glip.Tests.Memory;

namespace Glip.Managed.Tests.Postprocessing;

public class AtssPostProcessorTests
{
    [Theory]
    [InlineData("atss_post_few")]
    [InlineData("atss_post_many")]
    [InlineData("atss_post_none")]
    public void SelectsAsTheOriginal(string name)
    {
        var file = new OpsFile(name);
        var head = HeadOutput.Read(file);
        var trace = new AtssTrace();

        var final = head.Select(new(new()), new(), trace);

        AssertSame(file.Detections("prenms.boxes", "prenms.scores", "prenms.labels"), trace.PreNms);
        AssertSame(file.Detections("boxes", "scores", "labels"), trace.Selected);
        AssertSame(file.Detections("boxes_resized", "scores", "labels"), final);
    }

    [Fact]
    public void GivesTheSameBitsAsPlainLoops() => Prop.ForAll(
        Gen.Choose(0, int.MaxValue).ToArbitrary(),
        seed =>
        {
            var random = new Random(seed);
            var head = HeadOutput.Random(random, wild: true);
            var settings = RandomSettings(random);
            var trace = new AtssTrace();
            var scratch = new AtssScratch();

            // Another call's leftovers must not matter.
            var processor = new AtssPostProcessor(settings);
            _ = HeadOutput.Random(random, wild: true).Select(processor, scratch);
            var final = head.Select(processor, scratch, trace, cellsAtATime: random.Next(1, 50));

            var expected = AtssReference<float>.Select(head, settings);
            Assert.Equal(expected.PreNms.Select(d => d.ToCandidate()), trace.PreNms);
            Assert.Equal(expected.Selected.Select(d => d.ToCandidate()), trace.Selected);
            Assert.Equal(expected.Final.Select(d => d.ToCandidate()), final);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void AgreesWithDoubleBordersAside() => Prop.ForAll(
        Gen.Choose(0, int.MaxValue).ToArbitrary(),
        seed =>
        {
            var random = new Random(seed);
            var head = HeadOutput.Random(random, wild: false);
            var settings = new AtssSettings { PreNmsTopN = random.Next(1, 60), DetectionsPerImage = random.Next(1, 60) };
            var trace = new AtssTrace();

            _ = head.Select(new(settings), new(), trace);

            var expected = AtssReference<double>.Select(head, settings);
            var relaxed = AtssReference<double>.Select(
                head, settings with { InferenceThreshold = settings.InferenceThreshold - 1e-3f, PreNmsTopN = int.MaxValue });
            var comparison = DetectionMatcher.Compare(
                [.. expected.Selected.Select(d => ToScored(d.ToCandidate()))],
                [.. trace.Selected.Select(ToScored)],
                new()
                {
                    Candidates = [.. relaxed.PreNms.Select(d => ToRelaxed(d.ToCandidate()))],
                    PreNmsTopN = settings.PreNmsTopN,
                },
                scoreTolerance: 1e-6f,
                cornerTolerance: 1e-3f,
                detectionsPerImage: settings.DetectionsPerImage);
            Assert.True(comparison.IsMatch, comparison.ToString());
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void TheThresholdIsStrictAndTheShortcutRespectsIt() => Prop.ForAll(
        Gen.Choose(-4000, 4000).ToArbitrary(),
        hundredths =>
        {
            // The probability is a sigmoid of this very logit, or of three like it: thresholds at it and one step beside it.
            float logit = hundredths / 100f;
            float probability = PortableMath.Sigmoid(logit);
            foreach (int[] tokens in new int[][] { [0], [0, 1], [0, 0, 1, 1] })
            {
                float mean = tokens.Select(_ => probability).Aggregate((a, b) => a + b) / tokens.Length;
                Assert.Empty(OneCell([logit, logit], tokens, mean));
                Assert.Single(OneCell([logit, logit], tokens, MathF.BitDecrement(mean)));
            }
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void ProbabilityIsTheMeanOfProbabilitiesNotOfLogits()
    {
        var one = Assert.Single(OneCell([0, -1000], [0, 1], 0.05f));

        Assert.Equal(0.25f, one.Probability);
        Assert.Equal(MathF.Sqrt(0.25f * 0.5f), one.Score);
    }

    [Fact]
    public void TheThresholdCanBeSetPerCall()
    {
        var head = Cell([2f], [[0]]);
        var processor = new AtssPostProcessor(new());

        Assert.Empty(head.Select(processor, new(), inferenceThreshold: 0.999f));
        Assert.Single(head.Select(processor, new()));
        Assert.Empty(Cell([float.NegativeInfinity], [[0]]).Select(processor, new(), inferenceThreshold: 0));
        Assert.Single(Cell([-80f], [[0]]).Select(processor, new(), inferenceThreshold: 0));
    }

    [Fact]
    public void LabelsWithoutTokensAndWithNaNAreNeverFound()
    {
        var found = Cell([float.NaN, 5], [[], [0], [0, 1], [1], []]).Select(new(new()), new());

        Assert.Equal(4, Assert.Single(found).Label);
    }

    [Fact]
    public void ResultsPointAtTheirCell()
    {
        var file = new OpsFile("atss_post_few");
        var head = HeadOutput.Read(file);

        foreach (var one in head.Select(new(new()), new()))
        {
            var level = head.Levels[one.Level].AsLevel();
            var logits = head.Levels[one.Level].AsLogits(one.Cell, 1).At(0).ToArray();
            float mean = head.LabelTokens[one.Label - 1].Select(t => 1 / (1 + MathF.Exp(-logits[t]))).Average();
            Assert.Equal(mean, one.Probability, 1e-6f);
            Assert.Equal(one.Score, Math.Sqrt(mean / (1 + Math.Exp(-level.Centerness[one.Cell]))), 1e-6);
        }
    }

    [Fact]
    public void ASecondCallAllocatesOnlyItsResult()
    {
        var head = HeadOutput.Read(new OpsFile("atss_post_many"));
        var processor = new AtssPostProcessor(new());
        var scratch = new AtssScratch();

        Candidate[] found = [];
        long call = AllocatedBytes.OfThread(() => found = head.Select(processor, scratch));

        Assert.Equal(AllocatedBytes.OfThread(() => GC.KeepAlive(new Candidate[found.Length])), call);
        Assert.Equal(100, found.Length);
    }

    [Fact]
    public void NoCallBeginsWithNonsense()
    {
        var processor = new AtssPostProcessor(new());

        Assert.Throws<ArgumentOutOfRangeException>(() => processor.Begin(new(), [[0]], 0, 10));
        Assert.Throws<ArgumentOutOfRangeException>(() => processor.Begin(new(), [[0]], 10, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => processor.Begin(new(), [[0]], 10, 10, float.NaN));
        Assert.Throws<ArgumentException>(() => processor.Begin(new(), [[0, -1]], 10, 10));
        Assert.Throws<ArgumentException>(() => new AtssPostProcessor(new() { PreNmsTopN = 0 }));
        Assert.Throws<ArgumentException>(() => new AtssPostProcessor(new() { AnchorScale = 0 }));
    }

    [Fact]
    public void ALevelThatIsShorterThanItSaysIsRefused()
    {
        var good = Cell([1, 2], [[0, 1]]);
        var level = good.Levels[0];

        Assert.Throws<ArgumentException>(() => With(level with { BoxDeltas = new float[3] }));
        Assert.Throws<ArgumentException>(() => With(level with { Centerness = [] }));
        Assert.Throws<ArgumentException>(() => With(level with { Logits = new float[1] }));
        Assert.Throws<ArgumentException>(() => With(level with { LogitStride = 1 }));
        var missing = Assert.Throws<ArgumentException>(() => With(level with { Tokens = 1 }));
        Assert.Contains("Labels use 2 tokens, the level has logits of 1", missing.Message, StringComparison.Ordinal);

        Candidate[] With(HeadLevel changed) => (good with { Levels = [changed] }).Select(new(new()), new());
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(1, 1)]
    [InlineData(0, 2)]
    [InlineData(int.MaxValue, 2)]
    public void CellsThatAreNotTheLevelsAreRefused(int first, int cells)
    {
        HeadLevel level = Cell([1, 2], [[0, 1]]).Levels[0];
        var processor = new AtssPostProcessor(new());
        var scratch = new AtssScratch();
        processor.Begin(scratch, [[0, 1]], 8, 8);
        processor.BeginLevel(scratch, level.AsLevel());
        var refused = Assert.Throws<ArgumentException>(() => processor.Rank(
            scratch, level.AsLevel(), new AtssLogits { FirstCell = first, Cells = cells, Values = new float[8], Tokens = 2, Stride = 2 }));
        Assert.Contains($"expected cells of its 1, found {cells} from {first} on", refused.Message, StringComparison.Ordinal);
    }

    private static HeadOutput Cell(float[] logits, IReadOnlyList<int[]> labelTokens) =>
        new([new(1, 1, 8, new float[4], new float[1], logits, logits.Length, logits.Length)], labelTokens, 8, 8, 8, 8);

    private static Candidate[] OneCell(float[] logits, int[] tokens, float threshold) =>
        Cell(logits, [tokens]).Select(new(new() { InferenceThreshold = threshold }), new());

    private static AtssSettings RandomSettings(Random random)
    {
        return new()
        {
            AnchorScale = Pick(8, 4),
            InferenceThreshold = Pick(0, 0.05f, 0.05f, 0.3f, 0.999f, 1),
            PreNmsTopN = Pick(1, 3, 20, 200, 1000, int.MaxValue),
            NmsThreshold = Pick(0, 0.3f, 0.6f, 0.6f, 1),
            DetectionsPerImage = Pick(1, 2, 10, 100),
        };

        T Pick<T>(params ReadOnlySpan<T> choices) => choices[random.Next(choices.Length)];
    }

    private static void AssertSame(ScoredBox[] expected, IEnumerable<Candidate> actual)
    {
        // The same numbers went in, so no decision may differ: every detection has its partner.
        var comparison = DetectionMatcher.Compare(expected, [.. actual.Select(ToScored)], scoreTolerance: 1e-6f, cornerTolerance: 1e-3f);
        Assert.True(comparison.IsMatch && comparison.Matched == expected.Length, comparison.ToString());
    }

    private static RelaxedCandidate ToRelaxed(Candidate c) => new(ToScored(c), c.Level, c.Probability);

    private static ScoredBox ToScored(Candidate c) => new(c.Box.X1, c.Box.Y1, c.Box.X2, c.Box.Y2, c.Score, c.Label);
}
