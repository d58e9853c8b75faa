using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>6 rows × 2 vectors over any op table: 12 accumulators, which with two B vectors and a broadcast fit 16 registers. On AVX2 this is the usual 6×16 tile.</summary>
internal readonly unsafe struct Portable6x2<TOps, TVec> : IGemmMicroKernel
    where TOps : struct, ISimd<TVec>
    where TVec : unmanaged
{
    public static int Mr => 6;

    public static int Nr => 2 * TOps.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(int depth, float* a, float* b, float* c, nint ldc, float* bias)
    {
        const int S = GemmCore.RowStride;
        TVec c00 = TOps.Broadcast(0f), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
        TVec c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
        for (int k = 0; k < depth; k++)
        {
            TVec b0 = TOps.Load(b), b1 = TOps.Load(b + TOps.Width);
            TVec x = TOps.Broadcast(a[0]);
            c00 = TOps.MultiplyAdd(x, b0, c00);
            c01 = TOps.MultiplyAdd(x, b1, c01);
            x = TOps.Broadcast(a[S]);
            c10 = TOps.MultiplyAdd(x, b0, c10);
            c11 = TOps.MultiplyAdd(x, b1, c11);
            x = TOps.Broadcast(a[2 * S]);
            c20 = TOps.MultiplyAdd(x, b0, c20);
            c21 = TOps.MultiplyAdd(x, b1, c21);
            x = TOps.Broadcast(a[3 * S]);
            c30 = TOps.MultiplyAdd(x, b0, c30);
            c31 = TOps.MultiplyAdd(x, b1, c31);
            x = TOps.Broadcast(a[4 * S]);
            c40 = TOps.MultiplyAdd(x, b0, c40);
            c41 = TOps.MultiplyAdd(x, b1, c41);
            x = TOps.Broadcast(a[5 * S]);
            c50 = TOps.MultiplyAdd(x, b0, c50);
            c51 = TOps.MultiplyAdd(x, b1, c51);
            a++;
            b += 2 * TOps.Width;
        }

        Finish(c, bias, c00, c01);
        Finish(c + ldc, bias, c10, c11);
        Finish(c + (2 * ldc), bias, c20, c21);
        Finish(c + (3 * ldc), bias, c30, c31);
        Finish(c + (4 * ldc), bias, c40, c41);
        Finish(c + (5 * ldc), bias, c50, c51);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(float* c, float* bias, TVec s0, TVec s1)
    {
        float* start = bias is null ? c : bias;
        TOps.Store(TOps.Add(TOps.Load(start), s0), c);
        TOps.Store(TOps.Add(TOps.Load(start + TOps.Width), s1), c + TOps.Width);
    }
}
