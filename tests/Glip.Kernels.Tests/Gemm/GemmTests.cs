using System.Runtime.CompilerServices;
using FsCheck;
using FsCheck.Fluent;

namespace Glip.Kernels.Tests;

public class GemmTests
{
    // Around the tiles' 6, 8 and 12 rows, their common 24, and blocks of 96.
    private static readonly int[] s_rows = [0, 1, 5, 6, 7, 8, 11, 12, 13, 24, 25, 95, 96, 97, 191, 193, 205];

    // Around panels of 2 to 32 columns and chunks of 256.
    private static readonly int[] s_columns = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 257, 520];

    // Around vectors and passes of 256.
    private static readonly int[] s_depths = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 255, 256, 257, 511, 512, 513, 600];

    [Theory]
    [EachIsa]
    public void LinearAgreesAtEveryEdge(SimdIsa isa)
    {
        foreach (int rows in s_rows)
            CheckLinear(isa, new Sizes(rows, 33, 9));
        foreach (int columns in s_columns)
            CheckLinear(isa, new Sizes(13, columns, 17));
        foreach (int depth in s_depths)
            CheckLinear(isa, new Sizes(13, 35, depth));
        CheckLinear(isa, new Sizes(1, 1, 1));
        CheckLinear(isa, new Sizes(203, 67, 530));

        // Columns enough for all workers: up to 288 rows are then one block.
        foreach (int rows in (int[])[97, 195, 287, 288, 289])
            CheckLinear(isa, new Sizes(rows, 1030, 9));
    }

    [Theory]
    [EachIsa]
    public void LinearAgreesAtRandomSizes(SimdIsa isa) =>
        Prop.ForAll(
            Gen.Choose(1, 110).Two().ToArbitrary(), Gen.Choose(1, 280).ToArbitrary(),
            (outer, depth) => CheckLinear(isa, new Sizes(outer.Item1, outer.Item2, depth)))
            .Check(Properties.Cases(10));

    [Theory]
    [EachIsa]
    public void LinearWithoutBiasAgrees(SimdIsa isa)
    {
        foreach (int columns in (int[])[1, 31, 32, 40])
            CheckLinear(isa, new Sizes(14, columns, 19), bias: false);
    }

    [Theory]
    [EachIsa]
    public void StridesSkipWhatLiesBetweenRows(SimdIsa isa)
    {
        const int Rows = 25, Columns = 37, Depth = 11, XStride = 17, YStride = 41;
        var sizes = new Sizes(Rows, Columns, Depth);
        float[] x = Spread(sizes.X, Rows, Depth, XStride), weight = sizes.Weight, bias = sizes.Bias;
        float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
        {
            PackedMatrix packed = PackedMatrix.FromRows(context, buffers.In(weight), Columns, Depth, buffers.In(bias));
            Gemm.Linear(context, buffers.In(x), Rows, packed, buffers.Out(((Rows - 1) * YStride) + Columns), xStride: XStride, yStride: YStride);
        });

        // What lies between rows was not written: it still holds the blank's NaN.
        for (int i = 0; i < y.Length; i++)
            Assert.Equal(i % YStride >= Columns, float.IsNaN(y[i]));
        Close.ToMagnitudes(sizes.Expected(), sizes.Magnitudes(), Gather(y, Rows, Columns, YStride), Tolerance.Sum(Depth), "strided");
    }

    [Theory]
    [EachIsa]
    public void ResidualClampAndActivationFollowInOrder(SimdIsa isa)
    {
        // clamp(activation(clamp(product + residual))). Clamps at 0.5 and at values that bite only after the activation.
        const int Rows = 20, Columns = 45, Depth = 23;
        var sizes = new Sizes(Rows, Columns, Depth);
        float[] residual = Noise.Uniform(4, Rows * Columns);
        foreach (Activation activation in Enum.GetValues<Activation>())
        {
            foreach (float clamp in (float[])[0.5f, 2f, float.PositiveInfinity])
            {
                foreach (bool add in (bool[])[false, true])
                {
                    float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
                    {
                        PackedMatrix packed = PackedMatrix.FromRows(context, sizes.Weight, Columns, Depth, sizes.Bias);
                        Gemm.Linear(
                            context, buffers.In(sizes.X), Rows, packed, buffers.Out(Rows * Columns), activation, clamp, add ? buffers.In(residual) : default(Span<float>));
                    });
                    double[] sums = add ? Reference.Add(sizes.Expected(), Reference.Widen(residual)) : sizes.Expected();
                    double[] expected = Reference.Map(sums, s => Math.Clamp(Activate(Math.Clamp(s, -clamp, clamp), activation), -clamp, clamp));

                    // |GELU'| stays under 1.13.
                    double[] allowed = Reference.Map(
                        sizes.Magnitudes(), m => (1.13 * m * Tolerance.Sum(Depth)) + (m * Tolerance.Gelu(0) * (activation == Activation.Gelu ? 1 : 0)) + (2 * Tolerance.Unit));
                    Close.Within(expected, y, allowed, $"{activation}, clamp {clamp}, residual {add}");
                }
            }
        }
    }

    [Theory]
    [EachIsa]
    public void TheResidualMayBeTheResult(SimdIsa isa)
    {
        const int Rows = 100, Columns = 300, Depth = 31;
        var sizes = new Sizes(Rows, Columns, Depth);
        float[] before = Noise.Uniform(4, Rows * Columns);
        float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
        {
            Canary both = buffers.InOut(before);
            Gemm.Linear(context, buffers.In(sizes.X), Rows, PackedMatrix.FromRows(context, sizes.Weight, Columns, Depth, sizes.Bias), both, residual: both);
        });
        double[] residual = Reference.Widen(before);
        Close.ToMagnitudes(
            Reference.Add(sizes.Expected(), residual), Reference.Add(sizes.Magnitudes(), Reference.Abs(residual)), y, Tolerance.Sum(Depth), "in place");
    }

    [Theory]
    [EachIsa]
    public void UnpackedRightSidesGiveTheSameBitsAsPackedOnes(SimdIsa isa)
    {
        foreach ((int rows, int columns, int depth) in ((int, int, int)[])[(0, 3, 5), (1, 1, 1), (13, 31, 9), (97, 33, 257), (40, 300, 12)])
        {
            var sizes = new Sizes(rows, columns, depth);
            foreach (float clamp in (float[])[float.PositiveInfinity, 0.75f])
            {
                float[][] both = KernelProbe.Run(isa, (context, buffers) =>
                {
                    Gemm.LinearUnpacked(
                        context, buffers.In(sizes.X), rows, buffers.In(sizes.Weight), buffers.In(sizes.Bias), buffers.Out(Gemm.PackFloats(context, columns, depth)),
                        buffers.Out(rows * columns), clamp);
                    PackedMatrix packed = PackedMatrix.FromRows(context, sizes.Weight, columns, depth, sizes.Bias);
                    Gemm.Linear(context, buffers.In(sizes.X), rows, packed, buffers.Out(rows * columns), clamp: clamp);
                });
                Close.Bits(both[2], both[1], $"{sizes}");
            }
        }
    }

    [Fact]
    public void AProductSurvivesTheCollectionOfItsTemporaryMatrix()
    {
        // The matrix is garbage as soon as its addresses are taken; the arrays behind them must live until the product is done. Another thread
        // collects all the time and writes NaN over what the collector gave back.
        const int Rows = 2000, Columns = 64, Depth = 256;
        var sizes = new Sizes(Rows, Columns, Depth);
        KernelContext context = TestContexts.Get(SimdIsas.Best);
        float[] expected = new float[Rows * Columns], y = new float[Rows * Columns];
        PackedMatrix kept = PackedMatrix.FromRows(context, sizes.Weight, Columns, Depth, sizes.Bias);
        Gemm.Linear(context, sizes.X, Rows, kept, expected);
        bool stop = false;
        var collector = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                GC.Collect();
                for (int i = 0; i < 8; i++)
                    Array.Fill(GC.AllocateUninitializedArray<float>(Columns * Depth, pinned: true), float.NaN);
            }
        });
        collector.Start();
        try
        {
            for (int i = 0; i < 40; i++)
            {
                MultiplyByTemporary(context, sizes, y);
                Close.Bits(expected, y, $"round {i}");
            }
        }
        finally
        {
            Volatile.Write(ref stop, true);
            collector.Join();
        }

        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        static void MultiplyByTemporary(KernelContext context, Sizes sizes, float[] y) =>
            Gemm.Linear(context, sizes.X, Rows, PackedMatrix.FromRows(context, sizes.Weight, Columns, Depth, sizes.Bias), y);
    }

    [Theory]
    [EachIsa]
    public void InfinityAndNaNStayInTheirRowAndColumn(SimdIsa isa)
    {
        const int Rows = 14, Columns = 35, Depth = 10;
        var sizes = new Sizes(Rows, Columns, Depth);
        sizes.X[(3 * Depth) + 2] = float.NaN;
        sizes.Weight[(33 * Depth) + 9] = float.PositiveInfinity;
        float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
            Gemm.Linear(context, buffers.In(sizes.X), Rows, PackedMatrix.FromRows(context, sizes.Weight, Columns, Depth, sizes.Bias), buffers.Out(Rows * Columns)));
        for (int i = 0; i < y.Length; i++)
        {
            Assert.Equal(i / Columns == 3, float.IsNaN(y[i]));
            Assert.Equal(i / Columns != 3 && i % Columns == 33, float.IsInfinity(y[i]));
        }
    }

    [Fact]
    public void WrongArgumentsAreNamed()
    {
        KernelContext context = TestContexts.Get(SimdIsa.Scalar);
        PackedMatrix weight = PackedMatrix.FromRows(context, new float[15], 3, 5, []);
        Refusal.NamesNull("weight", () => Gemm.Linear(context, new float[5], 1, null!, new float[3]));
        Refusal.NamesNull("context", () => Gemm.Linear(null!, new float[5], 1, weight, new float[3]));
        Assert.Throws<ArgumentOutOfRangeException>("rows", () => Gemm.Linear(context, new float[5], -1, weight, new float[3]));
        Refusal.Names("x", "x needs 10 elements, has 9", () => Gemm.Linear(context, new float[9], 2, weight, new float[6]));
        Refusal.Names("y", "y needs 6 elements, has 5", () => Gemm.Linear(context, new float[10], 2, weight, new float[5]));
        Refusal.Names("residual", "residual needs 6 elements, has 5", () => Gemm.Linear(context, new float[10], 2, weight, new float[6], residual: new float[5]));
        Refusal.Names("xStride", "4 is shorter than a row of 5", () => Gemm.Linear(context, new float[10], 2, weight, new float[6], xStride: 4));
        Refusal.Names("yStride", "2 is shorter than a row of 3", () => Gemm.Linear(context, new float[10], 2, weight, new float[6], yStride: 2));
        Refusal.Names("x", "x needs 12 elements, has 10", () => Gemm.Linear(context, new float[10], 2, weight, new float[6], xStride: 7));
        Refusal.NamesNull("context", () => Gemm.PackFloats(null!, 1, 1));
        Refusal.Names("pack", "pack needs 18 elements, has 17", () => Gemm.LinearUnpacked(context, new float[5], 1, new float[15], new float[3], new float[17], new float[3]));
        Refusal.Names("weight", "weight has 14 values, which is not 3 rows", () => Gemm.LinearUnpacked(context, new float[5], 1, new float[14], new float[3], new float[99], new float[3]));
        Refusal.Names("weight", "weight has 0 values, which is not 3 rows", () => Gemm.LinearUnpacked(context, new float[5], 1, [], new float[3], new float[99], new float[3]));
        Refusal.Names("weight", "weight has 5 values, which is not 0 rows", () => Gemm.LinearUnpacked(context, new float[5], 1, new float[5], [], new float[99], new float[3]));
        Assert.Throws<OverflowException>(() => Gemm.PackFloats(context, 1 << 16, 1 << 16));
    }

    [Fact]
    public void AMatrixPackedForAnotherTileIsRefused()
    {
        PackedMatrix scalar = PackedMatrix.FromRows(TestContexts.Get(SimdIsa.Scalar), new float[15], 3, 5, []);
        foreach (SimdIsa isa in SimdIsas.Available.Where(isa => isa != SimdIsa.Scalar))
        {
            Refusal.Names(
                "weight", $"weight was packed 2 wide, {isa.Name()} needs {GemmTable.Layout(isa).Width}",
                () => Gemm.Linear(TestContexts.Get(isa), new float[5], 1, scalar, new float[3]));
        }
    }

    private static void CheckLinear(SimdIsa isa, Sizes sizes, bool bias = true)
    {
        float[] y = KernelProbe.RunOne(isa, (context, buffers) =>
        {
            PackedMatrix packed = PackedMatrix.FromRows(
                context, buffers.In(sizes.Weight), sizes.Columns, sizes.Depth, bias ? buffers.In(sizes.Bias) : default(Span<float>));
            Gemm.Linear(context, buffers.In(sizes.X), sizes.Rows, packed, buffers.Out(sizes.Rows * sizes.Columns));
        });
        Close.ToMagnitudes(sizes.Expected(bias), sizes.Magnitudes(bias), y, Tolerance.Sum(sizes.Depth), $"{sizes}");
    }

    private static double Activate(double x, Activation activation) => activation switch
    {
        Activation.Relu => Reference.Relu(x),
        Activation.Gelu => Reference.Gelu(x),
        _ => x,
    };

    private static float[] Spread(float[] values, int rows, int columns, int stride)
    {
        var result = new float[((rows - 1) * stride) + columns];
        Array.Fill(result, float.NaN);
        for (int i = 0; i < rows; i++)
            values.AsSpan(i * columns, columns).CopyTo(result.AsSpan(i * stride));
        return result;
    }

    private static float[] Gather(float[] values, int rows, int columns, int stride)
    {
        var result = new float[rows * columns];
        for (int i = 0; i < rows; i++)
            values.AsSpan(i * stride, columns).CopyTo(result.AsSpan(i * columns));
        return result;
    }

    /// <summary>One product's sizes and values.</summary>
    private sealed record Sizes(int Rows, int Columns, int Depth)
    {
        public float[] X { get; } = Noise.Uniform(1, Rows * Depth);

        public float[] Weight { get; } = Noise.Uniform(2, Columns * Depth);

        public float[] Bias { get; } = Noise.Uniform(3, Columns);

        public double[] Expected(bool bias = true) =>
            Reference.Linear(Reference.Widen(X), Rows, Reference.Widen(Weight), bias ? Reference.Widen(Bias) : [], Columns, Depth);

        public double[] Magnitudes(bool bias = true) => Reference.Linear(
            Reference.Abs(Reference.Widen(X)), Rows, Reference.Abs(Reference.Widen(Weight)), bias ? Reference.Abs(Reference.Widen(Bias)) : [], Columns, Depth);

        public override string ToString() => $"[{Rows}, {Depth}] · [{Columns}, {Depth}]ᵀ";
    }
}
