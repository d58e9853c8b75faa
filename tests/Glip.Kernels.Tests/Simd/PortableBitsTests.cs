namespace Glip.Kernels.Tests;

/// <summary>
/// What kernels compute with <see cref="SimdIsa.Portable"/>, as one number each: every leg of CI, on whatever instructions, must find the same. Values are right by the tests of
/// each kernel, which run on this set too.
/// </summary>
public class PortableBitsTests
{
    private static readonly Dictionary<string, (string Hash, Func<KernelContext, float[]> Run)> s_kernels = new()
    {
        ["exp"] = ("c465b78db4bf0adc", _ => [.. Sweep(-105, 88.7f).Select(PortableMath.Exp)]),
        ["sigmoid"] = ("29ca3230af9e8f8b", context => Map(Sweep(-90, 90), (x, y) => Elementwise.Sigmoid(context, x, y))),
        ["gelu"] = ("82d4f546f2a8093f", context => Map(Sweep(-16, 16), (x, y) => Elementwise.Gelu(context, x, y))),
        ["hard sigmoid"] = ("e0d41890a2153133", context => Map(Sweep(-5, 5), (x, y) => Elementwise.HardSigmoid(context, x, y))),
        ["dot"] = ("911710e2011c75bc", _ => [.. Enumerable.Range(0, 300).Select(n => PortableMath.Dot(Noise.Uniform(n, n), Noise.Uniform(n + 1, n)))]),
        ["softmax"] = ("1917bf803777f082", context => InPlace(Noise.Uniform(1, 7 * 333, 20f), x => Softmax.Forward(context, x, 7, 333))),
        ["L2 norm"] = ("64472cdc4f95f9ff", context => Map(Noise.Uniform(2, 5 * 77), (x, y) => L2Normalize.Forward(context, x, 5, 77, 1e-6f, y))),
        ["layer norm"] = ("26238bc7d7a4415d", context => Map(
            Noise.Uniform(3, 9 * 99, 3f, 1f), (x, y) => LayerNorm.Forward(context, x, 9, Noise.Uniform(4, 99, 0.2f, 1), Noise.Uniform(5, 99), 1e-5f, y))),
        ["linear"] = ("8cd3f709d17fbbaf", context => Linear(context, rows: 101, columns: 75, depth: 611, Activation.Gelu)),
        ["linear, few columns"] = ("bbea889a092a53a1", context => Linear(context, rows: 33, columns: 7, depth: 250, Activation.None)),
        ["Winograd"] = ("d2d8f0f764349344", context => Map(Noise.Uniform(9, 13 * 11 * 37), 13 * 11 * 20, (x, y) => WinogradConv2d.Forward(
            context, x, 13, 11, WinogradFilter.Pack(context, Noise.Uniform(10, 20 * 37 * 9), 20, 37, Noise.Uniform(11, 20)), y))),
        ["deformable"] = ("10bd75e9fa48d123", context => Map(Noise.Uniform(12, 12 * 15 * 40), 12 * 15 * 33, (x, y) => ModulatedDeformConv2d.Forward(
            context, x, 12, 15, 40, 1, Noise.Uniform(13, 18 * 12 * 15, 2), Noise.Uniform(14, 9 * 12 * 15, 0.5f, 0.5f),
            PackedMatrix.FromRows(context, Noise.Uniform(15, 33 * 9 * 40), 33, 9 * 40, Noise.Uniform(16, 33)), y))),
        ["attention"] = ("34da9c3ec205dc57", context => Map(Noise.Uniform(17, 45 * 3 * 80, 2), 45 * 80, (x, y) => MultiHeadAttention.Forward(
            context, x, 45, 80, 4, float.PositiveInfinity, Noise.Uniform(18, 45), y))),
        ["enlarged means"] = ("7ea7707412e076e5", context => Map(Noise.Uniform(19, 5 * 7 * 21), 21, (x, y) => BilinearResize.Means(context, x, 5, 7, 21, 11, 9, y))),
    };

    public static TheoryData<string> Kernels() => [.. s_kernels.Keys];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Kernels_have_the_same_bits_everywhere(string kernel)
    {
        (string hash, Func<KernelContext, float[]> run) = s_kernels[kernel];
        Assert.Equal(hash, Hash(run(TestContexts.Get(SimdIsa.Portable, workers: 2))));
    }

    private static float[] Linear(KernelContext context, int rows, int columns, int depth, Activation activation) => Map(
        Noise.Uniform(6, rows * depth), rows * columns, (x, y) => Gemm.Linear(
            context, x, rows, PackedMatrix.FromRows(context, Noise.Uniform(7, columns * depth), columns, depth, Noise.Uniform(8, columns)), y, activation));

    private static float[] Sweep(float low, float high) => [.. Noise.Uniform(20, 20_011, (high - low) / 2, (high + low) / 2)];

    private delegate void Kernel(float[] x, float[] y);

    private static float[] Map(float[] x, Kernel kernel) => Map(x, x.Length, kernel);

    private static float[] Map(float[] x, int length, Kernel kernel)
    {
        var y = new float[length];
        kernel(x, y);
        return y;
    }

    private static float[] InPlace(float[] x, Action<float[]> kernel)
    {
        kernel(x);
        return x;
    }

    /// <summary>FNV-1a over the numbers' bits.</summary>
    private static string Hash(float[] values)
    {
        ulong hash = 0xCBF29CE484222325;
        foreach (float value in values)
        {
            Assert.True(float.IsFinite(value), $"{value}");
            hash = (hash ^ BitConverter.SingleToUInt32Bits(value)) * 0x100000001B3;
        }

        return hash.ToString("x16");
    }
}
