using FsCheck;
using FsCheck.Fluent;
using TestData = Glip.Tests.TestData;

namespace Glip.Kernels.Tests;

public class PatchGatherTests
{
    [Fact]
    public void CornersRunDownColumnsFirst()
    {
        float[] x = [1, 2, 3, 4], y = new float[4];
        PatchGather.Forward(TestContexts.Get(SimdIsas.Best), x, 2, 2, 1, y);
        Assert.Equal([1, 3, 2, 4], y);
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesExactly(SimdIsa isa)
    {
        foreach ((int height, int width) in ((int, int)[])[(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (8, 13), (11, 6)])
        {
            foreach (int channels in (int[])[1, 16, 21])
                CheckForward(isa, height, width, channels);
        }
    }

    [Theory]
    [EachIsa]
    public void ForwardAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(Gen.Choose(0, 20).Two().ToArbitrary(), Gen.Choose(1, 40).ToArbitrary(), (size, channels) => CheckForward(isa, size.Item1, size.Item2, channels))
            .Check(Properties.Cases(20));

    [Theory]
    [InlineData("patch_merging_6x10", 6, 10)]
    [InlineData("patch_merging_8x13", 8, 13)]
    [InlineData("patch_merging_11x13", 11, 13)]
    public void PatchMergingMatchesTheOriginal(string file, int height, int width)
    {
        GoldenTensors golden = GoldenTensors.Load(TestData.Path("ops", file + ".safetensors"));
        const int Channels = 8;
        float[] x = golden["input"].Float.ToArray();
        int cells = (height + 1) / 2 * ((width + 1) / 2);
        foreach (SimdIsa isa in SimdIsas.Available)
        {
            float[][] results = KernelProbe.Run(isa, (context, buffers) =>
            {
                Canary gathered = buffers.Out(cells * 4 * Channels), merged = buffers.Out(cells * 2 * Channels);
                PatchGather.Forward(context, buffers.In(x), height, width, Channels, gathered);
                LayerNorm.Forward(context, gathered, cells, golden["param.norm.weight"].Float, golden["param.norm.bias"].Float, 1e-5f, gathered);
                Gemm.Linear(context, gathered, cells, PackedMatrix.FromRows(context, golden["param.reduction.weight"].Float, 2 * Channels, 4 * Channels, []), merged);
            });
            Close.ToLargest(Reference.Widen(golden["output"].Float), results[1], Tolerance.Layer, $"{file} on {isa.Name()}");
        }
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        Refusal.NamesNull("context", () => PatchGather.Forward(null!, new float[9], 3, 3, 1, new float[16]));
        Refusal.Names("x", "x needs 9 elements, has 8", () => PatchGather.Forward(context, new float[8], 3, 3, 1, new float[16]));
        Refusal.Names("y", "y needs 16 elements, has 15", () => PatchGather.Forward(context, new float[9], 3, 3, 1, new float[15]));
    }

    private static void CheckForward(SimdIsa isa, int height, int width, int channels)
    {
        float[] x = Noise.Uniform(1, height * width * channels);
        double[] expected = Reference.PatchGather(Reference.Widen(x), height, width, channels);
        float[] y = KernelProbe.RunOne(isa, (context, buffers) => PatchGather.Forward(context, buffers.In(x), height, width, channels, buffers.Out(expected.Length)));
        Close.ToLargest(expected, y, Tolerance.Exact, $"{height} × {width} × {channels}");
    }
}
