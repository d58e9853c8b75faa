using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class WindowAttentionTests
{
    // The map around the window: smaller, equal, one more, multiples, odd.
    private static readonly WindowShape[] s_shapes =
    [
        new(1, 1, 4, 1, 3, 1), new(2, 2, 4, 2, 3, 0), new(3, 3, 6, 2, 3, 1), new(4, 3, 6, 1, 3, 1), new(6, 9, 6, 3, 3, 0), new(6, 9, 17, 1, 3, 1), new(7, 11, 33, 3, 3, 1),
        new(4, 5, 16, 2, 7, 3), new(7, 7, 16, 2, 7, 3), new(8, 15, 24, 3, 7, 0), new(8, 15, 24, 3, 7, 3), new(12, 12, 16, 4, 12, 6), new(5, 13, 16, 1, 12, 6),
        new(60, 40, 4, 1, 3, 1),
    ];

    [Theory]
    [EachIsa]
    public void ForwardAgreesForEveryShape(SimdIsa isa)
    {
        foreach (WindowShape shape in s_shapes)
            CheckForward(isa, shape);
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 16).Two().ToArbitrary(), Gen.Choose(1, 3).Two().ToArbitrary(), Gen.Choose(1, 5).Two().ToArbitrary(),
            (size, heads, window) => CheckForward(
                isa, new WindowShape(size.Item1, size.Item2, heads.Item1 * heads.Item2 * 5, heads.Item1, Math.Max(window.Item1, window.Item2), Math.Min(window.Item1, window.Item2) - 1)))
            .Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void ScoresFarBelowZeroStillOutweighPadding(SimdIsa isa)
    {
        // Softmax does not care for a common summand; the padding that fills rows up to whole vectors must lie below any score.
        foreach (float level in (float[])[-16384, -1e30f])
        {
            var test = new Case(new WindowShape(7, 7, 8, 1, 7, 0));
            test.QkvWeight.AsSpan(0, 8 * 8).Clear();
            test.QkvBias.AsSpan(0, 8).Clear();
            Array.Fill(test.Table, level);
            Close.ToLargest(test.Expected(), Run(isa, test), Tolerance.Layer, $"scores of {level}");
        }
    }

    [Theory]
    [InlineData("swin_block_win7_noshift_pad")]
    [InlineData("swin_block_win7_shift_pad")]
    [InlineData("swin_block_win7_shift_small")]
    [InlineData("swin_block_win12_shift_pad")]
    public void ASwinBlockMatchesTheOriginal(string file)
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", file + ".safetensors"));
        using JsonDocument info = JsonDocument.Parse(golden.Metadata["info"]);
        var shape = new WindowShape(Size("H"), Size("W"), Size("dim"), Size("heads"), Size("window"), Size("shift"));
        int channels = shape.Channels, cells = shape.Height * shape.Width;
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
            {
                Canary x = buffers.InOut(golden["input"].Float);
                WindowAttention.Forward(
                    context, x, shape, Parameter("norm1.weight"), Parameter("norm1.bias"), 1e-5f, Dense(context, "attn.qkv", 3 * channels, channels),
                    WindowAttention.ExpandBias(context, Parameter("attn.relative_position_bias_table"), shape.Window, shape.Heads),
                    Dense(context, "attn.proj", channels, channels));
                FeedForward.Forward(
                    context, x, cells, Parameter("norm2.weight"), Parameter("norm2.bias"), 1e-5f, Dense(context, "mlp.fc1", 4 * channels, channels),
                    Dense(context, "mlp.fc2", channels, 4 * channels));
            });
            Close.ToLargest(Reference.Widen(golden["output"].Float), y, Tolerance.Layer, $"{file} on {isa.Name()}");
        }

        int Size(string name) => info.RootElement.GetProperty(name).GetInt32();

        float[] Parameter(string name) => golden["param." + name].Float.ToArray();

        PackedMatrix Dense(KernelContext context, string name, int columns, int depth) =>
            PackedMatrix.FromRows(context, Parameter(name + ".weight"), columns, depth, Parameter(name + ".bias"));
    }

    [Fact]
    public void ExpandedBiasesFollowTheRelativePosition()
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", "swin_block_win7_shift_pad.safetensors"));
        float[] table = golden["param.attn.relative_position_bias_table"].Float.ToArray();
        long[] index = golden["param.attn.relative_position_index"].Long.ToArray();
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            float[] bias = WindowAttention.ExpandBias(TestContexts.Get(isa), table, 7, 3);
            int stride = bias.Length / (3 * 49);
            Assert.Equal(0, stride % GemmTable.Layout(isa).Granule);
            for (int i = 0; i < bias.Length; i++)
            {
                int head = i / stride / 49, query = i / stride % 49, key = i % stride;
                Assert.Equal(key < 49 ? table[(index[(query * 49) + key] * 3) + head] : float.NegativeInfinity, bias[i]);
            }
        }

        Refusal.NamesNull("context", () => WindowAttention.ExpandBias(null!, table, 7, 3));
        Refusal.Names("table", "table needs 676 elements, has 507", () => WindowAttention.ExpandBias(TestContexts.Get(SimdIsas.Best), table, 7, 4));
    }

    [Fact]
    public void ShapesCountTheirWindows()
    {
        Assert.Equal((49, 3, 6), Counts(new WindowShape(10, 17, 24, 3, 7, 3)));
        Assert.Equal((49, 1, 1), Counts(new WindowShape(4, 5, 16, 2, 7, 3)));
        Assert.Equal((144, 2, 4), Counts(new WindowShape(24, 13, 16, 2, 12, 6)));

        static (int Tokens, int Across, int Windows) Counts(WindowShape shape) => (shape.Tokens, shape.WindowsAcross, shape.Windows);
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        var good = new WindowShape(2, 3, 4, 2, 3, 1);
        string shapeText = "WindowShape { Height = 2, Width = 3, Channels = 4, Heads = 2, Window = 3, Shift = 3, Tokens = 9, WindowsAcross = 1, Windows = 1 } has no windows";
        Refused("context", "", good, withContext: false);
        Refused("shape", shapeText, good with { Shift = 3 });
        Refused("shape", "WindowShape { Height = 0", good with { Height = 0 });
        Refused("shape", "4 channels do not divide into 3 heads", good with { Heads = 3 });
        Refused("qkv", "qkv has depth 5, its input has 4 values", good, qkv: (12, 5));
        Refused("qkv", "qkv has 11 columns, needs three for each of 4 channels", good, qkv: (11, 4));
        Refused("projection", "projection has depth 5, its input has 4 values", good, projection: (4, 5));
        Refused("projection", "projection has 5 columns, the map 4 channels", good, projection: (5, 4));
        Refused("x", "x needs 24 elements, has 23", good, x: 23);
        Refused("gamma", "gamma needs 4 elements, has 3", good, gamma: 3);
        Refused("beta", "beta needs 4 elements, has 3", good, beta: 3);
        Refused("bias", "bias needs", good, bias: 10);

        static void Refused(
            string argument, string message, WindowShape shape, int x = 24, int gamma = 4, int beta = 4, (int Columns, int Depth)? qkv = null,
            (int Columns, int Depth)? projection = null, int bias = 9999, bool withContext = true)
        {
            KernelContext context = TestContexts.Get(SimdIsas.Best);
            (int qkvColumns, int qkvDepth) = qkv ?? (12, 4);
            (int columns, int depth) = projection ?? (4, 4);
            PackedMatrix packedQkv = PackedMatrix.FromRows(context, new float[qkvColumns * qkvDepth], qkvColumns, qkvDepth, []);
            PackedMatrix packedProjection = PackedMatrix.FromRows(context, new float[columns * depth], columns, depth, []);
            Refusal.Names(argument, message, () => WindowAttention.Forward(
                withContext ? context : null!, new float[x], shape, new float[gamma], new float[beta], 1e-5f, packedQkv, new float[bias], packedProjection));
        }
    }

    private static float[] Run(SimdIsa isa, Case test)
    {
        int channels = test.Shape.Channels;
        return KernelProbe.RunOne(isa, (context, buffers) => WindowAttention.Forward(
            context, buffers.InOut(test.X), test.Shape, buffers.In(test.Gamma), buffers.In(test.Beta), 1e-5f,
            PackedMatrix.FromRows(context, test.QkvWeight, 3 * channels, channels, test.QkvBias),
            buffers.In(WindowAttention.ExpandBias(context, test.Table, test.Shape.Window, test.Shape.Heads)),
            PackedMatrix.FromRows(context, test.ProjectionWeight, channels, channels, test.ProjectionBias)));
    }

    private static void CheckForward(SimdIsa isa, WindowShape shape)
    {
        var test = new Case(shape);
        Close.ToLargest(test.Expected(), Run(isa, test), Tolerance.Layer, $"{shape}");
    }

    private sealed record Case(WindowShape Shape)
    {
        public float[] X { get; } = Noise.Uniform(1, Shape.Height * Shape.Width * Shape.Channels);

        public float[] Gamma { get; } = Noise.Uniform(2, Shape.Channels, 0.3f, 1);

        public float[] Beta { get; } = Noise.Uniform(3, Shape.Channels, 0.2f);

        // Amplitudes that keep scores around 1.
        public float[] QkvWeight { get; } = Noise.Uniform(4, 3 * Shape.Channels * Shape.Channels, 1.7f / MathF.Sqrt(Shape.Channels));

        public float[] QkvBias { get; } = Noise.Uniform(5, 3 * Shape.Channels);

        public float[] Table { get; } = Noise.Uniform(6, ((2 * Shape.Window) - 1) * ((2 * Shape.Window) - 1) * Shape.Heads);

        public float[] ProjectionWeight { get; } = Noise.Uniform(7, Shape.Channels * Shape.Channels, 1.7f / MathF.Sqrt(Shape.Channels));

        public float[] ProjectionBias { get; } = Noise.Uniform(8, Shape.Channels);

        public double[] Expected() => Reference.WindowAttention(
            Reference.Widen(X), Shape.Height, Shape.Width, Shape.Channels, Shape.Heads, Shape.Window, Shape.Shift, Reference.Widen(Gamma), Reference.Widen(Beta), 1e-5f,
            Reference.Widen(QkvWeight), Reference.Widen(QkvBias), Reference.Widen(Table), Reference.Widen(ProjectionWeight), Reference.Widen(ProjectionBias));
    }
}
