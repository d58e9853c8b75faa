using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// Tiles for 32 vector registers over any op table: 24 accumulators each. Fewer, wider loads beat more rows: a product then costs the fewest
/// instructions, which counts wherever two hardware threads share a core.
/// </summary>
internal readonly unsafe struct WideTiles<TOps, TVec> : IGemmMicroKernel
    where TOps : struct, ISimd<TVec>
    where TVec : unmanaged
{
    public static PanelLayout Layout => new(4 * TOps.Width, TOps.Width);

    public static int TurnedRows => 0;

    public static int Rows(int columns) => columns == 4 * TOps.Width ? 6 : columns == 3 * TOps.Width ? 8 : 12;

    public static delegate*<int, float*, float*, float*, nint, float*, float*, int, void> Tile(int columns) =>
        columns == 4 * TOps.Width ? &Tile6x4 : columns == 3 * TOps.Width ? &Tile8x3 : columns == 2 * TOps.Width ? &Tile12x2 : &Tile12x1;

    /// <summary>6 rows × 4 vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile6x4(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        const int S = GemmCore.RowStride;
        TVec c00 = TOps.Broadcast(0f), c01 = c00, c02 = c00, c03 = c00, c10 = c00, c11 = c00;
        TVec c12 = c00, c13 = c00, c20 = c00, c21 = c00, c22 = c00, c23 = c00;
        TVec c30 = c00, c31 = c00, c32 = c00, c33 = c00, c40 = c00, c41 = c00;
        TVec c42 = c00, c43 = c00, c50 = c00, c51 = c00, c52 = c00, c53 = c00;
        GemmPrefetch.Tile<TOps, TVec>(c, ldc, 6, 4);
        while (depth > 0)
        {
            int steps = Math.Min(depth, GemmPrefetch.Steps);
            depth -= steps;
            next = GemmPrefetch.Next<TOps, TVec>(next, lines);
            do
            {
                TVec b0 = TOps.Load(b), b1 = TOps.Load(b + TOps.Width), b2 = TOps.Load(b + (2 * TOps.Width)), b3 = TOps.Load(b + (3 * TOps.Width));
                TVec x = TOps.Broadcast(a[0]);
                c00 = TOps.MultiplyAdd(x, b0, c00);
                c01 = TOps.MultiplyAdd(x, b1, c01);
                c02 = TOps.MultiplyAdd(x, b2, c02);
                c03 = TOps.MultiplyAdd(x, b3, c03);
                x = TOps.Broadcast(a[S]);
                c10 = TOps.MultiplyAdd(x, b0, c10);
                c11 = TOps.MultiplyAdd(x, b1, c11);
                c12 = TOps.MultiplyAdd(x, b2, c12);
                c13 = TOps.MultiplyAdd(x, b3, c13);
                x = TOps.Broadcast(a[2 * S]);
                c20 = TOps.MultiplyAdd(x, b0, c20);
                c21 = TOps.MultiplyAdd(x, b1, c21);
                c22 = TOps.MultiplyAdd(x, b2, c22);
                c23 = TOps.MultiplyAdd(x, b3, c23);
                x = TOps.Broadcast(a[3 * S]);
                c30 = TOps.MultiplyAdd(x, b0, c30);
                c31 = TOps.MultiplyAdd(x, b1, c31);
                c32 = TOps.MultiplyAdd(x, b2, c32);
                c33 = TOps.MultiplyAdd(x, b3, c33);
                x = TOps.Broadcast(a[4 * S]);
                c40 = TOps.MultiplyAdd(x, b0, c40);
                c41 = TOps.MultiplyAdd(x, b1, c41);
                c42 = TOps.MultiplyAdd(x, b2, c42);
                c43 = TOps.MultiplyAdd(x, b3, c43);
                x = TOps.Broadcast(a[5 * S]);
                c50 = TOps.MultiplyAdd(x, b0, c50);
                c51 = TOps.MultiplyAdd(x, b1, c51);
                c52 = TOps.MultiplyAdd(x, b2, c52);
                c53 = TOps.MultiplyAdd(x, b3, c53);
                a++;
                b += 4 * TOps.Width;
            }
            while (--steps > 0);
        }

        TileEnd.Finish<TOps, TVec>(c, bias, c00, c01, c02, c03);
        TileEnd.Finish<TOps, TVec>(c + ldc, bias, c10, c11, c12, c13);
        TileEnd.Finish<TOps, TVec>(c + (2 * ldc), bias, c20, c21, c22, c23);
        TileEnd.Finish<TOps, TVec>(c + (3 * ldc), bias, c30, c31, c32, c33);
        TileEnd.Finish<TOps, TVec>(c + (4 * ldc), bias, c40, c41, c42, c43);
        TileEnd.Finish<TOps, TVec>(c + (5 * ldc), bias, c50, c51, c52, c53);
    }

    /// <summary>8 rows × 3 vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile8x3(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        const int S = GemmCore.RowStride;
        TVec c00 = TOps.Broadcast(0f), c01 = c00, c02 = c00, c10 = c00, c11 = c00, c12 = c00;
        TVec c20 = c00, c21 = c00, c22 = c00, c30 = c00, c31 = c00, c32 = c00;
        TVec c40 = c00, c41 = c00, c42 = c00, c50 = c00, c51 = c00, c52 = c00;
        TVec c60 = c00, c61 = c00, c62 = c00, c70 = c00, c71 = c00, c72 = c00;
        GemmPrefetch.Tile<TOps, TVec>(c, ldc, 8, 3);
        while (depth > 0)
        {
            int steps = Math.Min(depth, GemmPrefetch.Steps);
            depth -= steps;
            next = GemmPrefetch.Next<TOps, TVec>(next, lines);
            do
            {
                TVec b0 = TOps.Load(b), b1 = TOps.Load(b + TOps.Width), b2 = TOps.Load(b + (2 * TOps.Width));
                TVec x = TOps.Broadcast(a[0]);
                c00 = TOps.MultiplyAdd(x, b0, c00);
                c01 = TOps.MultiplyAdd(x, b1, c01);
                c02 = TOps.MultiplyAdd(x, b2, c02);
                x = TOps.Broadcast(a[S]);
                c10 = TOps.MultiplyAdd(x, b0, c10);
                c11 = TOps.MultiplyAdd(x, b1, c11);
                c12 = TOps.MultiplyAdd(x, b2, c12);
                x = TOps.Broadcast(a[2 * S]);
                c20 = TOps.MultiplyAdd(x, b0, c20);
                c21 = TOps.MultiplyAdd(x, b1, c21);
                c22 = TOps.MultiplyAdd(x, b2, c22);
                x = TOps.Broadcast(a[3 * S]);
                c30 = TOps.MultiplyAdd(x, b0, c30);
                c31 = TOps.MultiplyAdd(x, b1, c31);
                c32 = TOps.MultiplyAdd(x, b2, c32);
                x = TOps.Broadcast(a[4 * S]);
                c40 = TOps.MultiplyAdd(x, b0, c40);
                c41 = TOps.MultiplyAdd(x, b1, c41);
                c42 = TOps.MultiplyAdd(x, b2, c42);
                x = TOps.Broadcast(a[5 * S]);
                c50 = TOps.MultiplyAdd(x, b0, c50);
                c51 = TOps.MultiplyAdd(x, b1, c51);
                c52 = TOps.MultiplyAdd(x, b2, c52);
                x = TOps.Broadcast(a[6 * S]);
                c60 = TOps.MultiplyAdd(x, b0, c60);
                c61 = TOps.MultiplyAdd(x, b1, c61);
                c62 = TOps.MultiplyAdd(x, b2, c62);
                x = TOps.Broadcast(a[7 * S]);
                c70 = TOps.MultiplyAdd(x, b0, c70);
                c71 = TOps.MultiplyAdd(x, b1, c71);
                c72 = TOps.MultiplyAdd(x, b2, c72);
                a++;
                b += 3 * TOps.Width;
            }
            while (--steps > 0);
        }

        TileEnd.Finish<TOps, TVec>(c, bias, c00, c01, c02);
        TileEnd.Finish<TOps, TVec>(c + ldc, bias, c10, c11, c12);
        TileEnd.Finish<TOps, TVec>(c + (2 * ldc), bias, c20, c21, c22);
        TileEnd.Finish<TOps, TVec>(c + (3 * ldc), bias, c30, c31, c32);
        TileEnd.Finish<TOps, TVec>(c + (4 * ldc), bias, c40, c41, c42);
        TileEnd.Finish<TOps, TVec>(c + (5 * ldc), bias, c50, c51, c52);
        TileEnd.Finish<TOps, TVec>(c + (6 * ldc), bias, c60, c61, c62);
        TileEnd.Finish<TOps, TVec>(c + (7 * ldc), bias, c70, c71, c72);
    }

    /// <summary>12 rows × 2 vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile12x2(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        const int S = GemmCore.RowStride;
        TVec c00 = TOps.Broadcast(0f), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
        TVec c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
        TVec c60 = c00, c61 = c00, c70 = c00, c71 = c00, c80 = c00, c81 = c00;
        TVec c90 = c00, c91 = c00, ca0 = c00, ca1 = c00, cb0 = c00, cb1 = c00;
        GemmPrefetch.Tile<TOps, TVec>(c, ldc, 12, 2);
        while (depth > 0)
        {
            int steps = Math.Min(depth, GemmPrefetch.Steps);
            depth -= steps;
            next = GemmPrefetch.Next<TOps, TVec>(next, lines);
            do
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
                x = TOps.Broadcast(a[6 * S]);
                c60 = TOps.MultiplyAdd(x, b0, c60);
                c61 = TOps.MultiplyAdd(x, b1, c61);
                x = TOps.Broadcast(a[7 * S]);
                c70 = TOps.MultiplyAdd(x, b0, c70);
                c71 = TOps.MultiplyAdd(x, b1, c71);
                x = TOps.Broadcast(a[8 * S]);
                c80 = TOps.MultiplyAdd(x, b0, c80);
                c81 = TOps.MultiplyAdd(x, b1, c81);
                x = TOps.Broadcast(a[9 * S]);
                c90 = TOps.MultiplyAdd(x, b0, c90);
                c91 = TOps.MultiplyAdd(x, b1, c91);
                x = TOps.Broadcast(a[10 * S]);
                ca0 = TOps.MultiplyAdd(x, b0, ca0);
                ca1 = TOps.MultiplyAdd(x, b1, ca1);
                x = TOps.Broadcast(a[11 * S]);
                cb0 = TOps.MultiplyAdd(x, b0, cb0);
                cb1 = TOps.MultiplyAdd(x, b1, cb1);
                a++;
                b += 2 * TOps.Width;
            }
            while (--steps > 0);
        }

        TileEnd.Finish<TOps, TVec>(c, bias, c00, c01);
        TileEnd.Finish<TOps, TVec>(c + ldc, bias, c10, c11);
        TileEnd.Finish<TOps, TVec>(c + (2 * ldc), bias, c20, c21);
        TileEnd.Finish<TOps, TVec>(c + (3 * ldc), bias, c30, c31);
        TileEnd.Finish<TOps, TVec>(c + (4 * ldc), bias, c40, c41);
        TileEnd.Finish<TOps, TVec>(c + (5 * ldc), bias, c50, c51);
        TileEnd.Finish<TOps, TVec>(c + (6 * ldc), bias, c60, c61);
        TileEnd.Finish<TOps, TVec>(c + (7 * ldc), bias, c70, c71);
        TileEnd.Finish<TOps, TVec>(c + (8 * ldc), bias, c80, c81);
        TileEnd.Finish<TOps, TVec>(c + (9 * ldc), bias, c90, c91);
        TileEnd.Finish<TOps, TVec>(c + (10 * ldc), bias, ca0, ca1);
        TileEnd.Finish<TOps, TVec>(c + (11 * ldc), bias, cb0, cb1);
    }

    /// <summary>12 rows × 1 vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile12x1(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        const int S = GemmCore.RowStride;
        TVec c00 = TOps.Broadcast(0f), c10 = c00, c20 = c00, c30 = c00, c40 = c00, c50 = c00;
        TVec c60 = c00, c70 = c00, c80 = c00, c90 = c00, ca0 = c00, cb0 = c00;
        GemmPrefetch.Tile<TOps, TVec>(c, ldc, 12, 1);
        while (depth > 0)
        {
            int steps = Math.Min(depth, GemmPrefetch.Steps);
            depth -= steps;
            next = GemmPrefetch.Next<TOps, TVec>(next, lines);
            do
            {
                TVec b0 = TOps.Load(b);
                TVec x = TOps.Broadcast(a[0]);
                c00 = TOps.MultiplyAdd(x, b0, c00);
                x = TOps.Broadcast(a[S]);
                c10 = TOps.MultiplyAdd(x, b0, c10);
                x = TOps.Broadcast(a[2 * S]);
                c20 = TOps.MultiplyAdd(x, b0, c20);
                x = TOps.Broadcast(a[3 * S]);
                c30 = TOps.MultiplyAdd(x, b0, c30);
                x = TOps.Broadcast(a[4 * S]);
                c40 = TOps.MultiplyAdd(x, b0, c40);
                x = TOps.Broadcast(a[5 * S]);
                c50 = TOps.MultiplyAdd(x, b0, c50);
                x = TOps.Broadcast(a[6 * S]);
                c60 = TOps.MultiplyAdd(x, b0, c60);
                x = TOps.Broadcast(a[7 * S]);
                c70 = TOps.MultiplyAdd(x, b0, c70);
                x = TOps.Broadcast(a[8 * S]);
                c80 = TOps.MultiplyAdd(x, b0, c80);
                x = TOps.Broadcast(a[9 * S]);
                c90 = TOps.MultiplyAdd(x, b0, c90);
                x = TOps.Broadcast(a[10 * S]);
                ca0 = TOps.MultiplyAdd(x, b0, ca0);
                x = TOps.Broadcast(a[11 * S]);
                cb0 = TOps.MultiplyAdd(x, b0, cb0);
                a++;
                b += TOps.Width;
            }
            while (--steps > 0);
        }

        TileEnd.Finish<TOps, TVec>(c, bias, c00);
        TileEnd.Finish<TOps, TVec>(c + ldc, bias, c10);
        TileEnd.Finish<TOps, TVec>(c + (2 * ldc), bias, c20);
        TileEnd.Finish<TOps, TVec>(c + (3 * ldc), bias, c30);
        TileEnd.Finish<TOps, TVec>(c + (4 * ldc), bias, c40);
        TileEnd.Finish<TOps, TVec>(c + (5 * ldc), bias, c50);
        TileEnd.Finish<TOps, TVec>(c + (6 * ldc), bias, c60);
        TileEnd.Finish<TOps, TVec>(c + (7 * ldc), bias, c70);
        TileEnd.Finish<TOps, TVec>(c + (8 * ldc), bias, c80);
        TileEnd.Finish<TOps, TVec>(c + (9 * ldc), bias, c90);
        TileEnd.Finish<TOps, TVec>(c + (10 * ldc), bias, ca0);
        TileEnd.Finish<TOps, TVec>(c + (11 * ldc), bias, cb0);
    }
}
