using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using Vec = System.Runtime.Intrinsics.Vector128<float>;

namespace Glip.Kernels;

/// <summary>
/// NEON tiles of 8 rows with multiply-adds by lane. A is turned, 8 rows side by side for each k: two loads bring a column of A, three a row of B,
/// and 24 multiply-adds follow: 24 accumulators, two A and three B vectors in 32 registers.
/// </summary>
internal readonly unsafe struct NeonTiles : IGemmMicroKernel
{
    public static PanelLayout Layout => new(12, 4);

    public static int TurnedRows => 8;

    public static int Rows(int columns) => 8;

    public static delegate*<int, float*, float*, float*, nint, float*, float*, int, void> Tile(int columns) => columns switch
    {
        12 => &Tile8x12,
        8 => &Tile8x8,
        _ => &Tile8x4,
    };

    /// <summary>8 rows × 3 vectors, eight steps at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile8x12(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        Vec c00 = Vec.Zero, c01 = Vec.Zero, c02 = Vec.Zero, c10 = Vec.Zero, c11 = Vec.Zero, c12 = Vec.Zero;
        Vec c20 = Vec.Zero, c21 = Vec.Zero, c22 = Vec.Zero, c30 = Vec.Zero, c31 = Vec.Zero, c32 = Vec.Zero;
        Vec c40 = Vec.Zero, c41 = Vec.Zero, c42 = Vec.Zero, c50 = Vec.Zero, c51 = Vec.Zero, c52 = Vec.Zero;
        Vec c60 = Vec.Zero, c61 = Vec.Zero, c62 = Vec.Zero, c70 = Vec.Zero, c71 = Vec.Zero, c72 = Vec.Zero;
        for (; depth >= 8; depth -= 8)
        {
            Vec low = Vector128.Load(a), high = Vector128.Load(a + 4);
            Vec b0 = Vector128.Load(b), b1 = Vector128.Load(b + 4), b2 = Vector128.Load(b + 8);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            low = Vector128.Load(a + 8);
            high = Vector128.Load(a + 12);
            b0 = Vector128.Load(b + 12);
            b1 = Vector128.Load(b + 16);
            b2 = Vector128.Load(b + 20);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            low = Vector128.Load(a + 16);
            high = Vector128.Load(a + 20);
            b0 = Vector128.Load(b + 24);
            b1 = Vector128.Load(b + 28);
            b2 = Vector128.Load(b + 32);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            low = Vector128.Load(a + 24);
            high = Vector128.Load(a + 28);
            b0 = Vector128.Load(b + 36);
            b1 = Vector128.Load(b + 40);
            b2 = Vector128.Load(b + 44);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            low = Vector128.Load(a + 32);
            high = Vector128.Load(a + 36);
            b0 = Vector128.Load(b + 48);
            b1 = Vector128.Load(b + 52);
            b2 = Vector128.Load(b + 56);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            low = Vector128.Load(a + 40);
            high = Vector128.Load(a + 44);
            b0 = Vector128.Load(b + 60);
            b1 = Vector128.Load(b + 64);
            b2 = Vector128.Load(b + 68);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            low = Vector128.Load(a + 48);
            high = Vector128.Load(a + 52);
            b0 = Vector128.Load(b + 72);
            b1 = Vector128.Load(b + 76);
            b2 = Vector128.Load(b + 80);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            low = Vector128.Load(a + 56);
            high = Vector128.Load(a + 60);
            b0 = Vector128.Load(b + 84);
            b1 = Vector128.Load(b + 88);
            b2 = Vector128.Load(b + 92);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            a += 64;
            b += 96;
        }

        for (; depth > 0; depth--)
        {
            Vec low = Vector128.Load(a), high = Vector128.Load(a + 4);
            Vec b0 = Vector128.Load(b), b1 = Vector128.Load(b + 4), b2 = Vector128.Load(b + 8);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c02 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c02, b2, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c12 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c12, b2, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c22 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c22, b2, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c32 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c32, b2, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c42 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c42, b2, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c52 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c52, b2, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c62 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c62, b2, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            c72 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c72, b2, high, 3);
            a += 8;
            b += 12;
        }

        Finish(c, bias, 0, c00);
        Finish(c, bias, 4, c01);
        Finish(c, bias, 8, c02);
        Finish(c + ldc, bias, 0, c10);
        Finish(c + ldc, bias, 4, c11);
        Finish(c + ldc, bias, 8, c12);
        Finish(c + (2 * ldc), bias, 0, c20);
        Finish(c + (2 * ldc), bias, 4, c21);
        Finish(c + (2 * ldc), bias, 8, c22);
        Finish(c + (3 * ldc), bias, 0, c30);
        Finish(c + (3 * ldc), bias, 4, c31);
        Finish(c + (3 * ldc), bias, 8, c32);
        Finish(c + (4 * ldc), bias, 0, c40);
        Finish(c + (4 * ldc), bias, 4, c41);
        Finish(c + (4 * ldc), bias, 8, c42);
        Finish(c + (5 * ldc), bias, 0, c50);
        Finish(c + (5 * ldc), bias, 4, c51);
        Finish(c + (5 * ldc), bias, 8, c52);
        Finish(c + (6 * ldc), bias, 0, c60);
        Finish(c + (6 * ldc), bias, 4, c61);
        Finish(c + (6 * ldc), bias, 8, c62);
        Finish(c + (7 * ldc), bias, 0, c70);
        Finish(c + (7 * ldc), bias, 4, c71);
        Finish(c + (7 * ldc), bias, 8, c72);
    }

    /// <summary>8 rows × 2 vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile8x8(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        Vec c00 = Vec.Zero, c01 = Vec.Zero, c10 = Vec.Zero, c11 = Vec.Zero, c20 = Vec.Zero, c21 = Vec.Zero, c30 = Vec.Zero, c31 = Vec.Zero;
        Vec c40 = Vec.Zero, c41 = Vec.Zero, c50 = Vec.Zero, c51 = Vec.Zero, c60 = Vec.Zero, c61 = Vec.Zero, c70 = Vec.Zero, c71 = Vec.Zero;
        for (; depth > 0; depth--)
        {
            Vec low = Vector128.Load(a), high = Vector128.Load(a + 4);
            Vec b0 = Vector128.Load(b), b1 = Vector128.Load(b + 4);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c01 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c01, b1, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c11 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c11, b1, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c21 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c21, b1, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c31 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c31, b1, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c41 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c41, b1, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c51 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c51, b1, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c61 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c61, b1, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            c71 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c71, b1, high, 3);
            a += 8;
            b += 8;
        }

        Finish(c, bias, 0, c00);
        Finish(c, bias, 4, c01);
        Finish(c + ldc, bias, 0, c10);
        Finish(c + ldc, bias, 4, c11);
        Finish(c + (2 * ldc), bias, 0, c20);
        Finish(c + (2 * ldc), bias, 4, c21);
        Finish(c + (3 * ldc), bias, 0, c30);
        Finish(c + (3 * ldc), bias, 4, c31);
        Finish(c + (4 * ldc), bias, 0, c40);
        Finish(c + (4 * ldc), bias, 4, c41);
        Finish(c + (5 * ldc), bias, 0, c50);
        Finish(c + (5 * ldc), bias, 4, c51);
        Finish(c + (6 * ldc), bias, 0, c60);
        Finish(c + (6 * ldc), bias, 4, c61);
        Finish(c + (7 * ldc), bias, 0, c70);
        Finish(c + (7 * ldc), bias, 4, c71);
    }

    /// <summary>8 rows × 1 vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile8x4(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        Vec c00 = Vec.Zero, c10 = Vec.Zero, c20 = Vec.Zero, c30 = Vec.Zero, c40 = Vec.Zero, c50 = Vec.Zero, c60 = Vec.Zero, c70 = Vec.Zero;
        for (; depth > 0; depth--)
        {
            Vec low = Vector128.Load(a), high = Vector128.Load(a + 4);
            Vec b0 = Vector128.Load(b);
            c00 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c00, b0, low, 0);
            c10 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c10, b0, low, 1);
            c20 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c20, b0, low, 2);
            c30 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c30, b0, low, 3);
            c40 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c40, b0, high, 0);
            c50 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c50, b0, high, 1);
            c60 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c60, b0, high, 2);
            c70 = AdvSimd.Arm64.FusedMultiplyAddBySelectedScalar(c70, b0, high, 3);
            a += 8;
            b += 4;
        }

        Finish(c, bias, 0, c00);
        Finish(c + ldc, bias, 0, c10);
        Finish(c + (2 * ldc), bias, 0, c20);
        Finish(c + (3 * ldc), bias, 0, c30);
        Finish(c + (4 * ldc), bias, 0, c40);
        Finish(c + (5 * ldc), bias, 0, c50);
        Finish(c + (6 * ldc), bias, 0, c60);
        Finish(c + (7 * ldc), bias, 0, c70);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(float* c, float* bias, int column, Vec sum)
    {
        float* start = bias is null ? c : bias;
        (Vector128.Load(start + column) + sum).Store(c + column);
    }
}
