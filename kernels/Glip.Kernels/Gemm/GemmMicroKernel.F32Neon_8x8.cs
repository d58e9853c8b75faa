using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using Vec = System.Runtime.Intrinsics.Vector128<float>;

namespace Glip.Kernels;

/// <summary>
/// 8 rows × 2 vectors with by-lane multiply-add: four values of k of a row are one load, and each lane feeds two accumulators. 16
/// accumulators, 8 A vectors and two B vectors in 32 registers.
/// </summary>
internal readonly unsafe struct F32Neon_8x8 : IGemmMicroKernel
{
    public static PanelLayout Layout => new(8, 8);

    public static int Rows(int columns) => 8;

    public static delegate*<int, float*, float*, float*, nint, float*, float*, int, void> Tile(int columns) => &Tile8x8;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile8x8(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        const int S = GemmCore.RowStride;
        Vec c00 = Vec.Zero, c01 = Vec.Zero, c10 = Vec.Zero, c11 = Vec.Zero, c20 = Vec.Zero, c21 = Vec.Zero, c30 = Vec.Zero, c31 = Vec.Zero;
        Vec c40 = Vec.Zero, c41 = Vec.Zero, c50 = Vec.Zero, c51 = Vec.Zero, c60 = Vec.Zero, c61 = Vec.Zero, c70 = Vec.Zero, c71 = Vec.Zero;
        int k = 0;
        for (; k + 4 <= depth; k += 4)
        {
            Vec a0 = Vector128.Load(a);
            Vec a1 = Vector128.Load(a + S);
            Vec a2 = Vector128.Load(a + (2 * S));
            Vec a3 = Vector128.Load(a + (3 * S));
            Vec a4 = Vector128.Load(a + (4 * S));
            Vec a5 = Vector128.Load(a + (5 * S));
            Vec a6 = Vector128.Load(a + (6 * S));
            Vec a7 = Vector128.Load(a + (7 * S));
            Vec b0 = Vector128.Load(b), b1 = Vector128.Load(b + 4);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, a0, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, a0, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, a1, 0);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, a1, 0);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, a2, 0);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, a2, 0);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, a3, 0);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, a3, 0);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, a4, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, a4, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, a5, 0);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, a5, 0);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, a6, 0);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, a6, 0);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, a7, 0);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, a7, 0);
            b0 = Vector128.Load(b + 8);
            b1 = Vector128.Load(b + 12);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, a0, 1);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, a0, 1);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, a1, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, a1, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, a2, 1);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, a2, 1);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, a3, 1);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, a3, 1);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, a4, 1);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, a4, 1);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, a5, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, a5, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, a6, 1);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, a6, 1);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, a7, 1);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, a7, 1);
            b0 = Vector128.Load(b + 16);
            b1 = Vector128.Load(b + 20);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, a0, 2);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, a0, 2);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, a1, 2);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, a1, 2);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, a2, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, a2, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, a3, 2);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, a3, 2);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, a4, 2);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, a4, 2);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, a5, 2);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, a5, 2);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, a6, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, a6, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, a7, 2);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, a7, 2);
            b0 = Vector128.Load(b + 24);
            b1 = Vector128.Load(b + 28);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, a0, 3);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, a0, 3);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, a1, 3);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, a1, 3);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, a2, 3);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, a2, 3);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, a3, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, a3, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, a4, 3);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, a4, 3);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, a5, 3);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, a5, 3);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, a6, 3);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, a6, 3);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, a7, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, a7, 3);
            a += 4;
            b += 32;
        }

        for (; k < depth; k++)
        {
            Vec b0 = Vector128.Load(b), b1 = Vector128.Load(b + 4);
            Vec x = Vector128.Create(a[0]);
            c00 = AdvSimd.FusedMultiplyAdd(c00, x, b0);
            c01 = AdvSimd.FusedMultiplyAdd(c01, x, b1);
            x = Vector128.Create(a[S]);
            c10 = AdvSimd.FusedMultiplyAdd(c10, x, b0);
            c11 = AdvSimd.FusedMultiplyAdd(c11, x, b1);
            x = Vector128.Create(a[2 * S]);
            c20 = AdvSimd.FusedMultiplyAdd(c20, x, b0);
            c21 = AdvSimd.FusedMultiplyAdd(c21, x, b1);
            x = Vector128.Create(a[3 * S]);
            c30 = AdvSimd.FusedMultiplyAdd(c30, x, b0);
            c31 = AdvSimd.FusedMultiplyAdd(c31, x, b1);
            x = Vector128.Create(a[4 * S]);
            c40 = AdvSimd.FusedMultiplyAdd(c40, x, b0);
            c41 = AdvSimd.FusedMultiplyAdd(c41, x, b1);
            x = Vector128.Create(a[5 * S]);
            c50 = AdvSimd.FusedMultiplyAdd(c50, x, b0);
            c51 = AdvSimd.FusedMultiplyAdd(c51, x, b1);
            x = Vector128.Create(a[6 * S]);
            c60 = AdvSimd.FusedMultiplyAdd(c60, x, b0);
            c61 = AdvSimd.FusedMultiplyAdd(c61, x, b1);
            x = Vector128.Create(a[7 * S]);
            c70 = AdvSimd.FusedMultiplyAdd(c70, x, b0);
            c71 = AdvSimd.FusedMultiplyAdd(c71, x, b1);
            a++;
            b += 8;
        }

        Finish(c, bias, c00, c01);
        Finish(c + ldc, bias, c10, c11);
        Finish(c + (2 * ldc), bias, c20, c21);
        Finish(c + (3 * ldc), bias, c30, c31);
        Finish(c + (4 * ldc), bias, c40, c41);
        Finish(c + (5 * ldc), bias, c50, c51);
        Finish(c + (6 * ldc), bias, c60, c61);
        Finish(c + (7 * ldc), bias, c70, c71);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(float* c, float* bias, Vec s0, Vec s1)
    {
        float* start = bias is null ? c : bias;
        (Vector128.Load(start) + s0).Store(c);
        (Vector128.Load(start + 4) + s1).Store(c + 4);
    }
}
