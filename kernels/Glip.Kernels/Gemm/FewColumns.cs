using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// Products with a handful of columns, such as a head's logits: dot products that read x where it lies. Time goes into reading x once, which a GEMM would first
/// copy into its panel.
/// </summary>
internal static unsafe class FewColumns
{
    /// <summary>Most columns that are worth it: with more, the products cost more than reading.</summary>
    public const int Most = 8;

    // Enough rows to be worth a worker's wake-up.
    private const int BlockRows = 128;

    /// <summary><c>y = clamp(activation(clamp(x·Wᵀ + b)))</c>.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[rows, K].</param>
    /// <param name="xStride">Floats from one row of x to the next.</param>
    /// <param name="rows">M.</param>
    /// <param name="weight">[N, K], row-major.</param>
    /// <param name="bias">[N].</param>
    /// <param name="columns">N.</param>
    /// <param name="depth">K.</param>
    /// <param name="y">[rows, N].</param>
    /// <param name="yStride">Floats from one row of y to the next.</param>
    /// <param name="activation">Applied to each element.</param>
    /// <param name="clamp">Elements are kept within ± this.</param>
    public static void Run(
        KernelContext context, float* x, int xStride, int rows, float* weight, float* bias, int columns, int depth, float* y, int yStride,
        Activation activation, float clamp)
    {
        var job = new Job(x, xStride, rows, weight, bias, columns, depth, y, yStride, activation, clamp);
        context.Run(ref job, (rows + BlockRows - 1) / BlockRows, 0, (long)rows * columns * depth);
    }

    private readonly struct Job(
        float* x, nint xStride, int rows, float* weight, float* bias, int columns, int depth, float* y, nint yStride, Activation activation, float clamp) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _weight = weight;
        private readonly float* _bias = bias;
        private readonly float* _y = y;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int first = part * BlockRows, end = Math.Min(first + BlockRows, rows);
            for (int i = first; i < end; i++)
            {
                float* row = _x + (i * xStride), target = _y + (i * yStride);
                int j = 0;
                for (; j <= columns - 4; j += 4)
                    Dot4<TOps, TVec>(row, _weight + ((nint)j * depth), _bias + j, target + j);
                for (; j < columns; j++)
                    target[j] = _bias[j] + Rows.Dot<TOps, TVec>(row, _weight + ((nint)j * depth), depth);
                if (activation != Activation.None || !float.IsPositiveInfinity(clamp))
                    Rows.Activate<TOps, TVec>(target, columns, activation, clamp);
            }
        }

        /// <summary>Four columns share each load of x.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Dot4<TOps, TVec>(float* row, float* weight, float* bias, float* target)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            float* w1 = weight + depth, w2 = w1 + depth, w3 = w2 + depth;
            TVec s0 = TOps.Broadcast(0f), s1 = s0, s2 = s0, s3 = s0;
            int k = 0;
            for (; k <= depth - TOps.Width; k += TOps.Width)
            {
                TVec v = TOps.Load(row + k);
                s0 = TOps.MultiplyAdd(v, TOps.Load(weight + k), s0);
                s1 = TOps.MultiplyAdd(v, TOps.Load(w1 + k), s1);
                s2 = TOps.MultiplyAdd(v, TOps.Load(w2 + k), s2);
                s3 = TOps.MultiplyAdd(v, TOps.Load(w3 + k), s3);
            }

            float t0 = TOps.Sum(s0), t1 = TOps.Sum(s1), t2 = TOps.Sum(s2), t3 = TOps.Sum(s3);
            for (; k < depth; k++)
            {
                t0 += row[k] * weight[k];
                t1 += row[k] * w1[k];
                t2 += row[k] * w2[k];
                t3 += row[k] * w3[k];
            }

            target[0] = bias[0] + t0;
            target[1] = bias[1] + t1;
            target[2] = bias[2] + t2;
            target[3] = bias[3] + t3;
        }
    }
}
