namespace Glip.Kernels.Tests;

public unsafe class VectorMathTests
{
    private const int Samples = 20_011;

    [Theory]
    [EachIsa]
    public void ExpIsWithinItsUlps(SimdIsa isa)
    {
        foreach ((float low, float high) in ((float, float)[])[(-87.33f, 88.37f), (-1, 1), (-1e-6f, 1e-6f)])
            CheckUlps<ExpFunction>(isa, low, high, Math.Exp, Tolerance.ExpUlp);
    }

    [Theory]
    [EachIsa]
    public void ExpIsExactAtZeroAndNeverDenormalOrInfinite(SimdIsa isa)
    {
        float[] x = [0f, -0f, float.NegativeInfinity, float.MinValue, -1e6f, -100f, -87.34f, 88.38f, 1e6f, float.MaxValue, float.PositiveInfinity];
        Assert.Equal([1, 1, 0, 0, 0, 0, 0], Apply<ExpFunction>(isa, x)[..7]);
        Assert.All(Apply<ExpFunction>(isa, x)[7..], y => Assert.InRange(y, 2.38e38f, 2.41e38f));
        Assert.All(Apply<ExpFunction>(isa, Sweep(-90, -86)), y => Assert.True(y is 0 or >= 1.17549435e-38f, $"{y} is denormal"));
    }

    [Theory]
    [EachIsa]
    public void ExpNeverDecreases(SimdIsa isa)
    {
        // Whole multiples of ln 2/2 are where the argument reduction changes over.
        float[] x = [.. Enumerable.Range(-100, 200).SelectMany(i => Around((float)(i * Math.Log(2) / 2)))], y = Apply<ExpFunction>(isa, x);
        for (int i = 1; i < x.Length; i++)
            Assert.True(y[i] >= y[i - 1] * (1 - (2 * Tolerance.Unit)), $"exp({x[i]:R}) = {y[i]:R} after exp({x[i - 1]:R}) = {y[i - 1]:R}");
    }

    [Theory]
    [EachIsa]
    public void SigmoidIsWithinItsUlps(SimdIsa isa)
    {
        CheckUlps<SigmoidFunction>(isa, -87.3f, 0, Reference.Sigmoid, Tolerance.SigmoidUlp);
        CheckUlps<SigmoidFunction>(isa, -8, 40, Reference.Sigmoid, Tolerance.SigmoidUlp);
    }

    [Theory]
    [EachIsa]
    public void GeluIsWithinItsUlps(SimdIsa isa)
    {
        foreach ((float low, float high) in ((float, float)[])[(-1e-3f, 1e-3f), (-1, 1), (-6, 0), (-12.8f, 15)])
        {
            if (isa is SimdIsa.Avx512 or SimdIsa.Avx2 or SimdIsa.Neon)
                CheckUlps<GeluFunction>(isa, low, high, Reference.Gelu, Tolerance.GeluUlp);
            else
                CheckGelu(isa, low, high, 0);
        }
    }

    [Theory]
    [EachIsa]
    public void GeluOfTheFarTailIsNearZero(SimdIsa isa)
    {
        CheckGelu(isa, -15, -12.8f, Tolerance.Underflow);
        Assert.All(Apply<GeluFunction>(isa, Sweep(-100, -13.22f)), y => Assert.Equal(0, y));
    }

    [Theory]
    [EachIsa]
    public void AnElementsGeluDoesNotDependOnItsNeighbours(SimdIsa isa)
    {
        // Vectors are computed in another way as soon as one lane is far below zero.
        float[] x = Sweep(-5.74f, 8)[..640], mixed = [.. x];
        float[] far = [-5.75f, -5.76f, -12, -20, float.NegativeInfinity, float.NaN];
        for (int i = 3; i < mixed.Length; i += 17)
            mixed[i] = far[i % far.Length];
        float[] alone = Apply<GeluFunction>(isa, x), beside = Apply<GeluFunction>(isa, mixed);
        for (int i = 0; i < x.Length; i++)
        {
            float expected = i % 17 == 3 ? Apply<GeluFunction>(isa, [.. Enumerable.Repeat(mixed[i], 16)])[0] : alone[i];
            Assert.Equal(BitConverter.SingleToInt32Bits(expected), BitConverter.SingleToInt32Bits(beside[i]));
        }
    }

    [Theory]
    [EachIsa]
    public void MaximaAndSumsLookAtEveryLane(SimdIsa isa)
    {
        for (int count = 0; count <= 70; count++)
        {
            for (int best = 0; best < count; best++)
            {
                var row = new float[count];
                Array.Fill(row, -3f);
                row[best] = 5f;
                Assert.Equal((5f, 5f - (3 * (count - 1))), MaxAndSum(isa, row));
            }
        }

        Assert.Equal((float.NegativeInfinity, 0f), MaxAndSum(isa, []));
    }

    private static (float Max, float Sum) MaxAndSum(SimdIsa isa, float[] row)
    {
        var results = stackalloc float[2];
        Canary fenced = Canary.Of(row);
        fixed (float* pointer = fenced.Span)
        {
            var job = new ReduceJob(pointer, row.Length, results);
            TestContexts.Get(isa).Run(ref job, 1);
        }

        return (results[0], results[1]);
    }

    private static void CheckUlps<TFunction>(SimdIsa isa, float low, float high, Func<double, double> function, double ulps)
        where TFunction : unmanaged, IUnary
    {
        float[] x = Sweep(low, high);
        double[] expected = Reference.Map(Reference.Widen(x), function);
        double[] allowed = Reference.Map(expected, e => ulps * ((double)MathF.BitIncrement((float)e) - (float)e));
        Close.Within(expected, Apply<TFunction>(isa, x), allowed, $"{typeof(TFunction).Name} in {low}…{high}");
    }

    private static void CheckGelu(SimdIsa isa, float low, float high, double absolute)
    {
        float[] x = Sweep(low, high);
        double[] wide = Reference.Widen(x), expected = Reference.Map(wide, Reference.Gelu);
        double[] allowed = Reference.Map(wide, v => (Math.Abs(Reference.Gelu(v)) * Tolerance.Gelu(v)) + absolute);
        Close.Within(expected, Apply<GeluFunction>(isa, x), allowed, $"gelu in {low}…{high}");
    }

    private static float[] Sweep(float low, float high)
    {
        float[] x = Noise.Uniform(1, Samples, 0.5f);
        for (int i = 0; i < x.Length; i++)
            x[i] = (float)Math.Clamp(low + (((double)high - low) * (i + 0.5 + x[i]) / Samples), low, high);
        return x;
    }

    private static IEnumerable<float> Around(float x) => [MathF.BitDecrement(MathF.BitDecrement(x)), MathF.BitDecrement(x), x, MathF.BitIncrement(x)];

    private static float[] Apply<TFunction>(SimdIsa isa, float[] x)
        where TFunction : unmanaged, IUnary
    {
        var y = new float[x.Length];
        fixed (float* px = x, py = y)
        {
            var job = new MapJob<TFunction>(px, py, x.Length);
            TestContexts.Get(isa).Run(ref job, 1);
        }

        return y;
    }

    private readonly struct ExpFunction : IUnary
    {
        public static TVec Apply<TOps, TVec>(TVec x)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged => VectorMath.Exp<TOps, TVec>(x);
    }

    private readonly struct MapJob<TFunction>(float* x, float* y, int count) : IKernelJob
        where TFunction : unmanaged, IUnary
    {
        private readonly float* _x = x;
        private readonly float* _y = y;
        private readonly int _count = count;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel => Rows.Map<TFunction, TOps, TVec>(_x, _y, _count);
    }

    private readonly struct ReduceJob(float* row, int count, float* results) : IKernelJob
    {
        private readonly float* _row = row;
        private readonly float* _results = results;
        private readonly int _count = count;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            _results[0] = Rows.Max<TOps, TVec>(_row, _count);
            _results[1] = Rows.Sum<TOps, TVec>(_row, _count);
        }
    }
}
