using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Functions of each element on its own. Results may be written over the arguments. What a NaN gives depends on the instruction set.</summary>
public static unsafe class Elementwise
{
    /// <summary><c>y = x · Φ(x)</c>, the exact GELU (Hendrycks and Gimpel, 2016).</summary>
    public static void Gelu(KernelContext context, ReadOnlySpan<float> x, Span<float> y) => Map<GeluFunction>(context, x, y);

    /// <summary><c>y = 1 / (1 + e^−x)</c>.</summary>
    public static void Sigmoid(KernelContext context, ReadOnlySpan<float> x, Span<float> y) => Map<SigmoidFunction>(context, x, y);

    /// <summary><c>y = clamp(x + 3, 0, 6) / 6</c>.</summary>
    public static void HardSigmoid(KernelContext context, ReadOnlySpan<float> x, Span<float> y) => Map<HardSigmoidFunction>(context, x, y);

    /// <summary><c>y = max(x, 0)</c>.</summary>
    public static void Relu(KernelContext context, ReadOnlySpan<float> x, Span<float> y) => Map<ReluFunction>(context, x, y);

    private static void Map<TFunction>(KernelContext context, ReadOnlySpan<float> x, Span<float> y)
        where TFunction : unmanaged, IUnary
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.Length(y, x.Length, nameof(y));
        fixed (float* px = x)
        fixed (float* py = y)
        {
            var job = new MapJob<TFunction>(px, py, x.Length);
            context.Run(ref job, (x.Length + MapJob<TFunction>.ElementsPerPart - 1) / MapJob<TFunction>.ElementsPerPart);
        }
    }

    private readonly struct MapJob<TFunction>(float* x, float* y, int count) : IKernelJob
        where TFunction : unmanaged, IUnary
    {
        public const int ElementsPerPart = 16384;

        private readonly float* _x = x;
        private readonly float* _y = y;
        private readonly int _count = count;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int first = part * ElementsPerPart;
            Rows.Map<TFunction, TOps, TVec>(_x + first, _y + first, Math.Min(ElementsPerPart, _count - first));
        }
    }
}
