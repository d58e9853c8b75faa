using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class MultiHeadAttentionTests
{
    [Theory]
    [EachIsa]
    public void ForwardAgreesAtEveryEdge(SimdIsa isa)
    {
        // Around vectors, panels, tiles and blocks of 96.
        foreach (int tokens in (int[])[0, 1, 2, 5, 15, 16, 17, 31, 32, 33, 95, 96, 97, 200])
            CheckForward(isa, new Case(tokens, 2, 8));
        foreach (int headDim in (int[])[1, 7, 8, 17, 32, 64, 300])
            CheckForward(isa, new Case(11, 3, headDim));
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 60).ToArbitrary(), Gen.Choose(1, 5).ToArbitrary(), Gen.Choose(1, 40).ToArbitrary(),
            (tokens, heads, headDim) => CheckForward(isa, new Case(tokens, heads, headDim)))
            .Check(Properties.Cases(15));

    [Theory]
    [EachIsa]
    public void ScoresAreClampedBeforeTheMask(SimdIsa isa)
    {
        float[] mask = new float[21];
        mask.AsSpan(13).Fill(-10000);
        CheckForward(isa, new Case(21, 3, 8) { Clamp = 0.25f });
        CheckForward(isa, new Case(21, 3, 8) { Mask = mask });
        CheckForward(isa, new Case(21, 3, 8) { Clamp = 0.25f, Mask = mask });
    }

    [Theory]
    [EachIsa]
    public void MaskedKeysCountAsNothing(SimdIsa isa)
    {
        // What masked tokens hold must not matter, to the last bit.
        float[] mask = new float[9];
        mask.AsSpan(6).Fill(-10000);
        var test = new Case(9, 2, 16) { Mask = mask };
        float[] before = Run(isa, test);
        test.Qkv.AsSpan(6 * 3 * test.Channels).Fill(0.125f);
        Close.Bits(before.AsSpan(0, 6 * test.Channels), Run(isa, test).AsSpan(0, 6 * test.Channels), "real tokens");
    }

    [Fact]
    public void ABertLayerMatchesTheOriginal()
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", "bert_backbone_layer.safetensors"));
        const int Tokens = 11, Width = 24, Heads = 3, Hidden = 40;
        const float Epsilon = 1e-12f;
        float[] mask = [.. golden["mask"].Long.ToArray().Select(m => (1 - m) * -10000f)], input = golden["hidden0"].Float.ToArray();
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            float[][] results = KernelProbe.Run(isa, (context, buffers) =>
            {
                Canary x = buffers.Out(Tokens * Width), qkv = buffers.Out(Tokens * 3 * Width), attended = buffers.Out(Tokens * Width), hidden = buffers.Out(Tokens * Hidden);
                Canary start = buffers.In(input);
                string[] parts = ["query", "key", "value"];
                PackedMatrix projection = PackedMatrix.FromRows(
                    context, Join(parts, "weight"), 3 * Width, Width, Join(parts, "bias"));
                Gemm.Linear(context, start, Tokens, projection, qkv);
                MultiHeadAttention.Forward(context, qkv, Tokens, Width, Heads, float.PositiveInfinity, buffers.In(mask), attended);
                Gemm.Linear(context, attended, Tokens, Dense(context, "attention.output.dense", Width, Width), x, residual: start);
                LayerNorm.Forward(context, x, Tokens, Parameter("attention.output.LayerNorm.weight"), Parameter("attention.output.LayerNorm.bias"), Epsilon, x);
                Gemm.Linear(context, x, Tokens, Dense(context, "intermediate.dense", Hidden, Width), hidden, Activation.Gelu);
                Gemm.Linear(context, hidden, Tokens, Dense(context, "output.dense", Width, Hidden), x, residual: x);
                LayerNorm.Forward(context, x, Tokens, Parameter("output.LayerNorm.weight"), Parameter("output.LayerNorm.bias"), Epsilon, x);
            });
            Close.ToLargest(Reference.Widen(golden["hidden1"].Float), results[0], Tolerance.Layer, $"hidden1 on {isa.Name()}");
        }

        float[] Parameter(string name) => golden["param.encoder.layer.0." + name].Float.ToArray();

        float[] Join(string[] parts, string kind) => [.. parts.SelectMany(part => Parameter($"attention.self.{part}.{kind}"))];

        PackedMatrix Dense(KernelContext context, string name, int columns, int depth) =>
            PackedMatrix.FromRows(context, Parameter(name + ".weight"), columns, depth, Parameter(name + ".bias"));
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        float[] qkv = new float[36], y = new float[12];
        Refusal.NamesNull("context", () => MultiHeadAttention.Forward(null!, qkv, 3, 4, 2, 1, [], y));
        Refusal.Names("heads", "4 channels do not divide into 3 heads", () => MultiHeadAttention.Forward(context, qkv, 3, 4, 3, 1, [], y));
        Refusal.Names("heads", "4 channels do not divide into 0 heads", () => MultiHeadAttention.Forward(context, qkv, 3, 4, 0, 1, [], y));
        Refusal.Names("qkv", "qkv needs 36 elements, has 35", () => MultiHeadAttention.Forward(context, new float[35], 3, 4, 2, 1, [], y));
        Refusal.Names("y", "y needs 12 elements, has 11", () => MultiHeadAttention.Forward(context, qkv, 3, 4, 2, 1, [], new float[11]));
        Refusal.Names("keyBias", "keyBias needs 3 elements, has 2", () => MultiHeadAttention.Forward(context, qkv, 3, 4, 2, 1, new float[2], y));
    }

    private static float[] Run(SimdIsa isa, Case test) => KernelProbe.RunOne(isa, (context, buffers) => MultiHeadAttention.Forward(
        context, buffers.In(test.Qkv), test.Tokens, test.Channels, test.Heads, test.Clamp, buffers.In(test.Mask), buffers.Out(test.Tokens * test.Channels)));

    private static void CheckForward(SimdIsa isa, Case test)
    {
        double[] expected = Reference.SelfAttention(
            Reference.Widen(test.Qkv), test.Tokens, test.Channels, test.Heads, test.Clamp, (_, _, key) => test.Mask.Length == 0 ? 0 : test.Mask[key]);
        var allowed = new double[expected.Length];
        Array.Fill(allowed, Tolerance.Attention(test.Tokens, test.HeadDim, Math.Sqrt(test.HeadDim)));
        Close.Within(expected, Run(isa, test), allowed, $"{test}");
    }

    private sealed record Case(int Tokens, int Heads, int HeadDim)
    {
        public int Channels => Heads * HeadDim;

        public float[] Qkv { get; } = Noise.Uniform(1, Tokens * 3 * Heads * HeadDim);

        public float Clamp { get; init; } = float.PositiveInfinity;

        public float[] Mask { get; init; } = [];

        public override string ToString() => $"{Tokens} tokens, {Heads} heads of {HeadDim}, clamp {Clamp}";
    }
}
