using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vec = System.Runtime.Intrinsics.Vector512<float>;

namespace Glip.Kernels;

/// <summary>12 rows × 2 vectors of 512 bits: 24 accumulators, two B vectors and a broadcast in 32 registers.</summary>
internal readonly unsafe struct F32Avx512_12x32 : IGemmMicroKernel
{
    public static int Mr => 12;

    public static int Nr => 32;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(int depth, float* a, float* b, float* c, nint ldc, float* bias)
    {
        const int S = GemmCore.RowStride;
        Vec c00 = Vec.Zero, c01 = Vec.Zero, c10 = Vec.Zero, c11 = Vec.Zero, c20 = Vec.Zero, c21 = Vec.Zero;
        Vec c30 = Vec.Zero, c31 = Vec.Zero, c40 = Vec.Zero, c41 = Vec.Zero, c50 = Vec.Zero, c51 = Vec.Zero;
        Vec c60 = Vec.Zero, c61 = Vec.Zero, c70 = Vec.Zero, c71 = Vec.Zero, c80 = Vec.Zero, c81 = Vec.Zero;
        Vec c90 = Vec.Zero, c91 = Vec.Zero, ca0 = Vec.Zero, ca1 = Vec.Zero, cb0 = Vec.Zero, cb1 = Vec.Zero;
        for (int k = 0; k < depth; k++)
        {
            Vec b0 = Vector512.Load(b), b1 = Vector512.Load(b + 16);
            Vec x = Vector512.Create(a[0]);
            c00 = Vector512.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector512.FusedMultiplyAdd(x, b1, c01);
            x = Vector512.Create(a[S]);
            c10 = Vector512.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector512.FusedMultiplyAdd(x, b1, c11);
            x = Vector512.Create(a[2 * S]);
            c20 = Vector512.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector512.FusedMultiplyAdd(x, b1, c21);
            x = Vector512.Create(a[3 * S]);
            c30 = Vector512.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector512.FusedMultiplyAdd(x, b1, c31);
            x = Vector512.Create(a[4 * S]);
            c40 = Vector512.FusedMultiplyAdd(x, b0, c40);
            c41 = Vector512.FusedMultiplyAdd(x, b1, c41);
            x = Vector512.Create(a[5 * S]);
            c50 = Vector512.FusedMultiplyAdd(x, b0, c50);
            c51 = Vector512.FusedMultiplyAdd(x, b1, c51);
            x = Vector512.Create(a[6 * S]);
            c60 = Vector512.FusedMultiplyAdd(x, b0, c60);
            c61 = Vector512.FusedMultiplyAdd(x, b1, c61);
            x = Vector512.Create(a[7 * S]);
            c70 = Vector512.FusedMultiplyAdd(x, b0, c70);
            c71 = Vector512.FusedMultiplyAdd(x, b1, c71);
            x = Vector512.Create(a[8 * S]);
            c80 = Vector512.FusedMultiplyAdd(x, b0, c80);
            c81 = Vector512.FusedMultiplyAdd(x, b1, c81);
            x = Vector512.Create(a[9 * S]);
            c90 = Vector512.FusedMultiplyAdd(x, b0, c90);
            c91 = Vector512.FusedMultiplyAdd(x, b1, c91);
            x = Vector512.Create(a[10 * S]);
            ca0 = Vector512.FusedMultiplyAdd(x, b0, ca0);
            ca1 = Vector512.FusedMultiplyAdd(x, b1, ca1);
            x = Vector512.Create(a[11 * S]);
            cb0 = Vector512.FusedMultiplyAdd(x, b0, cb0);
            cb1 = Vector512.FusedMultiplyAdd(x, b1, cb1);
            a++;
            b += 32;
        }

        Finish(c, bias, c00, c01);
        Finish(c + ldc, bias, c10, c11);
        Finish(c + (2 * ldc), bias, c20, c21);
        Finish(c + (3 * ldc), bias, c30, c31);
        Finish(c + (4 * ldc), bias, c40, c41);
        Finish(c + (5 * ldc), bias, c50, c51);
        Finish(c + (6 * ldc), bias, c60, c61);
        Finish(c + (7 * ldc), bias, c70, c71);
        Finish(c + (8 * ldc), bias, c80, c81);
        Finish(c + (9 * ldc), bias, c90, c91);
        Finish(c + (10 * ldc), bias, ca0, ca1);
        Finish(c + (11 * ldc), bias, cb0, cb1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(float* c, float* bias, Vec s0, Vec s1)
    {
        float* start = bias is null ? c : bias;
        (Vector512.Load(start) + s0).Store(c);
        (Vector512.Load(start + 16) + s1).Store(c + 16);
    }
}
