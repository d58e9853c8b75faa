using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class BiAttentionTests
{
    [Theory]
    [EachIsa]
    public void ForwardAgreesAtEveryEdge(SimdIsa isa)
    {
        // Around blocks of 192 rows and slices of 1024.
        foreach (int rows in (int[])[1, 2, 95, 97, 191, 192, 193, 1023, 1025, 2500])
            CheckForward(isa, new Case(rows, 5, 2, 3));
        foreach ((int channels, int heads, int tokens) in ((int, int, int)[])[(1, 1, 1), (16, 4, 1), (17, 3, 11), (33, 8, 5), (256, 1, 7)])
            CheckForward(isa, new Case(50, channels, heads, tokens));
    }

    [Theory]
    [EachIsa]
    public void MoreRowsThanSlicesHoldAgree(SimdIsa isa) => CheckForward(isa, new Case(17000, 4, 1, 3));

    [Theory]
    [EachIsa]
    public void LongTextsAgree(SimdIsa isa) => CheckForward(isa, new Case(110, 9, 8, 256));

    [Theory]
    [EachIsa]
    public void GroupsOfHeadsAgree(SimdIsa isa)
    {
        // A group has up to 400 columns: 1, 2 and 3 groups of 3, 2 and 1 heads, and one of a single long head.
        foreach ((int heads, int tokens, int attended) in ((int, int, int)[])[(3, 133, 133), (4, 200, 199), (3, 201, 201), (2, 257, 250)])
            CheckForward(isa, new Case(400, 6, heads, tokens) { Attended = attended });
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 300).ToArbitrary(), Gen.Choose(1, 40).ToArbitrary(), Gen.Choose(1, 8).Two().ToArbitrary(),
            (rows, channels, text) => CheckForward(isa, new Case(rows, channels, text.Item1, text.Item2)))
            .Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void PaddingGetsARowAndNoAttention(SimdIsa isa)
    {
        foreach ((int heads, int tokens, int attended) in ((int, int, int)[])[(1, 2, 1), (3, 17, 16), (2, 40, 5)])
            CheckForward(isa, new Case(130, 12, heads, tokens) { Attended = attended });
    }

    [Theory]
    [EachIsa]
    public void AHeadByItselfIsTheSameAttention(SimdIsa isa)
    {
        // With the identity for its projections, the folded form is the plain one: X + A·V against A·V. Heads lie side by side in wider rows.
        const int Heads = 3, Stride = 29;
        foreach ((int rows, int width, int tokens, int attended) in ((int, int, int, int)[])[(1, 1, 1, 1), (97, 8, 5, 5), (1100, 9, 20, 13)])
        {
            var test = new Case(rows, width, 1, tokens) { Attended = attended };
            Array.Clear(test.ScoreBias);
            (double[] x, double[] y) = test.Expected();
            for (int head = 0; head < Heads; head++)
            {
                float[] wide = new float[rows * Stride];
                for (int row = 0; row < rows; row++)
                    test.X.AsSpan(row * width, width).CopyTo(wide.AsSpan((row * Stride) + (head * width)));
                float[][] results = KernelProbe.Run(isa, (context, buffers) => BiAttention.ForwardHead(
                    context, buffers.In(wide).Span[(head * width)..], buffers.In(wide).Span[(head * width)..], buffers.InOut(new float[rows * Stride]).Span[(head * width)..], Stride, rows,
                    width, tokens, attended, buffers.In(test.ScoreWeights), buffers.In(test.ValueWeights), buffers.In(new float[Math.Max(width, tokens)]), test.Clamp,
                    buffers.Out(BiAttention.WorkspaceFloats(context, rows, width, 1, tokens)), buffers.Out(tokens * width)));
                var updated = new float[rows * width];
                for (int i = 0; i < updated.Length; i++)
                    updated[i] = results[0][(i / width * Stride) + (head * width) + (i % width)] + test.X[i] + test.OutputBias[i % width];
                Close.ToLargest(x, updated, Tolerance.Layer, $"image side of head {head}, {test}");
                Close.Within(y, results[2], Reference.Map(y, _ => Tolerance.Layer), $"text side of head {head}, {test}");
                for (int i = 0; i < results[0].Length; i++)
                    Assert.True((i % Stride) / width == head || results[0][i] == 0, "a neighbour's columns were written");
            }
        }
    }

    [Theory]
    [EachIsa]
    public void ScoresAreClamped(SimdIsa isa) => CheckForward(isa, new Case(130, 12, 3, 5) { Clamp = 0.5f });

    [Theory]
    [EachIsa]
    public void ScoresBeyondTheLimitTie(SimdIsa isa)
    {
        // Multiples of 10000 add up exactly, so both sides see the same ties at ±50000 and differences that leave nothing of the smaller weight.
        var test = new Case(1100, 6, 2, 4) { Clamp = 50000 };
        for (int i = 0; i < test.X.Length; i++)
            test.X[i] = MathF.Round(test.X[i]);
        for (int i = 0; i < test.ScoreWeights.Length; i++)
            test.ScoreWeights[i] = MathF.Round(8 * test.ScoreWeights[i]) * 10000;
        for (int i = 0; i < test.ScoreBias.Length; i++)
            test.ScoreBias[i] = MathF.Round(8 * test.ScoreBias[i]) * 10000;
        CheckForward(isa, test);
    }

    [Theory]
    [EachIsa]
    public void RowsFarBelowTheLargestScoreAgree(SimdIsa isa)
    {
        // Every third row scores high, others up to 60 lower: some rows come from the text side's weights, their neighbours do not.
        foreach ((int heads, int tokens) in ((int, int)[])[(1, 1), (3, 5), (2, 16), (2, 37)])
        {
            var test = new Case(500, 7, heads, tokens);
            for (int i = 0; i < test.X.Length; i += 7)
                test.X[i] = i / 7 % 3 == 0 ? 1 : -1f * i / test.X.Length;
            for (int i = 0; i < test.ScoreWeights.Length; i += 7)
                test.ScoreWeights[i] = 30;
            CheckForward(isa, test);
        }
    }

    [Theory]
    [EachIsa]
    public void ALaterMaximumRescalesEarlierSums(SimdIsa isa)
    {
        // Scores rise with the row, so that each block, and each slice, outweighs those before.
        var test = new Case(2100, 3, 1, 2);
        for (int i = 0; i < test.X.Length; i++)
            test.X[i] += i / 3 * 0.05f;
        Array.Fill(test.ScoreWeights, 0.4f);
        (double[] _, double[] y) = test.Expected();
        Close.ToLargest(y, Run(isa, test)[2], 4 * Tolerance.Layer, "rising scores");
    }

    [Theory]
    [InlineData("bi_attention_nomask")]
    [InlineData("bi_attention_mask")]
    [InlineData("bi_attention_clamp")]
    public void TheFoldedAttentionMatchesTheOriginal(string file)
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", file + ".safetensors"));
        const int Heads = 4, Embed = 32, HeadDim = Embed / Heads, Channels = 16, TextWidth = 24;
        int rows = golden["v"].Shape[1];
        int[] real = [.. Enumerable.Range(0, golden["l"].Shape[1]).Where(t => golden["mask"].Long[t] != 0)];
        int tokens = real.Length;

        // Everything around the kernel in plain loops: norms, text projections, the fold, the text side's output.
        double[] x = Reference.LayerNorm(Reference.Widen(golden["v"].Float), rows, Parameter("layer_norm_v.weight"), Parameter("layer_norm_v.bias"), 1e-5f);
        double[] text = Reference.LayerNorm(Rows(golden["l"].Float), tokens, Parameter("layer_norm_l.weight"), Parameter("layer_norm_l.bias"), 1e-5f);
        double[] keys = Project(text, "l_proj"), values = Project(text, "values_l_proj");
        double[] queryWeight = Parameter("attn.v_proj.weight"), queryBias = Parameter("attn.v_proj.bias");
        double[] outWeight = Parameter("attn.out_v_proj.weight"), outBias = Parameter("attn.out_v_proj.bias"), gamma = Parameter("gamma_v");
        double[] scoreWeights = new double[Heads * tokens * Channels], scoreBias = new double[Heads * tokens], valueWeights = new double[Heads * tokens * Channels];
        for (int j = 0; j < Heads * tokens; j++)
        {
            int head = j / tokens, token = j % tokens;
            for (int d = head * HeadDim; d < (head + 1) * HeadDim; d++)
            {
                scoreBias[j] += queryBias[d] * keys[(token * Embed) + d] / Math.Sqrt(HeadDim);
                for (int c = 0; c < Channels; c++)
                {
                    scoreWeights[(j * Channels) + c] += queryWeight[(d * Channels) + c] * keys[(token * Embed) + d] / Math.Sqrt(HeadDim);
                    valueWeights[(j * Channels) + c] += gamma[c] * outWeight[(c * Embed) + d] * values[(token * Embed) + d];
                }
            }
        }

        for (int c = 0; c < Channels; c++)
            outBias[c] *= gamma[c];
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            float[][] results = KernelProbe.Run(isa, (context, buffers) => BiAttention.Forward(
                context, buffers.InOut(Narrow(x)), rows, Channels, Heads, tokens, tokens, buffers.In(Narrow(scoreWeights)), buffers.In(Narrow(scoreBias)),
                buffers.In(Narrow(valueWeights)), buffers.In(Narrow(outBias)), 50000, buffers.Out(BiAttention.WorkspaceFloats(context, rows, Channels, Heads, tokens)),
                buffers.Out(Heads * tokens * Channels)));
            Close.ToLargest(Reference.Widen(golden["out_v"].Float), results[0], Tolerance.Layer, $"{file}, out_v on {isa.Name()}");

            // dL = out_l_proj(concat_h Y_h Wv_hᵀ + b_v).
            var collected = new double[tokens * Embed];
            double[] visualWeight = Parameter("attn.values_v_proj.weight"), visualBias = Parameter("attn.values_v_proj.bias");
            for (int i = 0; i < collected.Length; i++)
            {
                int token = i / Embed, d = i % Embed, row = (d / HeadDim * tokens) + token;
                collected[i] = visualBias[d];
                for (int c = 0; c < Channels; c++)
                    collected[i] += visualWeight[(d * Channels) + c] * results[2][(row * Channels) + c];
            }

            double[] delta = Reference.Linear(collected, tokens, Parameter("attn.out_l_proj.weight"), Parameter("attn.out_l_proj.bias"), TextWidth, Embed);
            double[] gammaText = Parameter("gamma_l");
            var updated = new float[delta.Length];
            for (int i = 0; i < delta.Length; i++)
                updated[i] = (float)(text[i] + (gammaText[i % TextWidth] * delta[i]));
            Close.ToLargest(Rows(golden["out_l"].Float), updated, Tolerance.Layer, $"{file}, out_l on {isa.Name()}");
        }

        double[] Parameter(string name) => Reference.Widen(golden["param." + name].Float);

        double[] Rows(ReadOnlySpan<float> all)
        {
            double[] wide = Reference.Widen(all);
            return [.. real.SelectMany(t => wide[(t * TextWidth)..((t + 1) * TextWidth)])];
        }

        double[] Project(double[] input, string name) =>
            Reference.Linear(input, tokens, Parameter($"attn.{name}.weight"), Parameter($"attn.{name}.bias"), Embed, TextWidth);
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        int workspace = BiAttention.WorkspaceFloats(TestContexts.Get(SimdIsas.Best), 5, 4, 2, 3);
        Refusal.NamesNull("context", () => BiAttention.WorkspaceFloats(null!, 5, 4, 2, 3));
        Refused("context", "", withContext: false);
        Refused("rows", "a softmax over no visual tokens is undefined", rows: 0);
        Refused("tokens", "2 heads of 0 text tokens attend to nothing", tokens: 0);
        Refused("attended", "4 of 3 text tokens cannot be attended to", attended: 4);
        Refused("attended", "0 of 3 text tokens cannot be attended to", attended: 0);
        Refused("x", "x needs 20 elements, has 19", x: 19);
        Refused("scoreWeights", "scoreWeights needs 24 elements, has 23", scoreWeights: 23);
        Refused("scoreBias", "scoreBias needs 6 elements, has 5", scoreBias: 5);
        Refused("valueWeights", "valueWeights needs 24 elements, has 23", valueWeights: 23);
        Refused("outputBias", "outputBias needs 4 elements, has 3", outputBias: 3);
        Refused("workspace", $"workspace needs {workspace} elements, has {workspace - 1}", shortBy: 1);
        Refused("y", "y needs 24 elements, has 23", y: 23);
        Assert.Throws<OverflowException>(() => BiAttention.WorkspaceFloats(TestContexts.Get(SimdIsas.Best), 1 << 20, 1 << 14, 4, 1 << 14));

        void Refused(
            string argument, string message, int rows = 5, int tokens = 3, int x = 20, int scoreWeights = 24, int scoreBias = 6, int valueWeights = 24, int outputBias = 4,
            int shortBy = 0, int y = 24, bool withContext = true, int attended = 3) =>
            Refusal.Names(argument, message, () => BiAttention.Forward(
                withContext ? TestContexts.Get(SimdIsas.Best) : null!, new float[x], rows, 4, 2, tokens, attended, new float[scoreWeights], new float[scoreBias], new float[valueWeights],
                new float[outputBias], 1, new float[workspace - shortBy], new float[y]));
    }

    private static float[][] Run(SimdIsa isa, Case test) => KernelProbe.Run(isa, (context, buffers) => BiAttention.Forward(
        context, buffers.InOut(test.X), test.Rows, test.Channels, test.Heads, test.Tokens, test.Attended, buffers.In(test.ScoreWeights), buffers.In(test.ScoreBias),
        buffers.In(test.ValueWeights), buffers.In(test.OutputBias), test.Clamp,
        buffers.Out(BiAttention.WorkspaceFloats(context, test.Rows, test.Channels, test.Heads, test.Tokens)), buffers.Out(test.Heads * test.Tokens * test.Channels)));

    private static void CheckForward(SimdIsa isa, Case test)
    {
        float[][] results = Run(isa, test);
        (double[] x, double[] y) = test.Expected();
        Close.ToLargest(x, results[0], Tolerance.Layer, $"image side of {test}");
        double[] allowed = Reference.Map(y, _ => Tolerance.Layer);
        Close.Within(y, results[2], allowed, $"text side of {test}");
    }

    private static float[] Narrow(double[] values) => [.. values.Select(value => (float)value)];

    private sealed record Case(int Rows, int Channels, int Heads, int Tokens)
    {
        public float[] X { get; } = Noise.Uniform(1, Rows * Channels);

        public float[] ScoreWeights { get; } = Noise.Uniform(2, Heads * Tokens * Channels, 3 / MathF.Sqrt(Channels));

        public float[] ScoreBias { get; } = Noise.Uniform(3, Heads * Tokens);

        public float[] ValueWeights { get; } = Noise.Uniform(4, Heads * Tokens * Channels);

        public float[] OutputBias { get; } = Noise.Uniform(5, Channels);

        public float Clamp { get; init; } = 50000;

        public int Attended { get; init; } = Tokens;

        public (double[] X, double[] Y) Expected() => Reference.BiAttention(
            Reference.Widen(X), Rows, Channels, Heads, Tokens, Attended, Reference.Widen(ScoreWeights), Reference.Widen(ScoreBias), Reference.Widen(ValueWeights),
            Reference.Widen(OutputBias), Clamp);

        public override string ToString() => $"{Rows} × {Channels}, {Heads} heads, {Tokens} tokens, clamp {Clamp}";
    }
}
