using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Tiles for 16 vector registers over any op table: 6 rows × 2 vectors are 12 accumulators, which with two B vectors and a broadcast fit. On AVX2 this is the usual 6×16 tile.</summary>
internal readonly unsafe struct NarrowTiles<TOps, TVec> : IGemmMicroKernel
    where TOps : struct, ISimd<TVec>
    where TVec : unmanaged
{
    public static PanelLayout Layout => new(2 * TOps.Width, TOps.Width);

    public static int TurnedRows => 0;

    public static int Rows(int columns) => columns == 2 * TOps.Width ? 6 : 12;

    public static delegate*<int, float*, float*, float*, nint, float*, float*, int, void> Tile(int columns) => columns == 2 * TOps.Width ? &Tile6x2 : &WideTiles<TOps, TVec>.Tile12x1;

    /// <summary>6 rows × 2 vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile6x2(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        const int S = GemmCore.RowStride;
        TVec c00 = TOps.Broadcast(0f), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
        TVec c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
        GemmPrefetch.Tile<TOps, TVec>(c, ldc, 6, 2);
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
    }
}
