using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// Tiles of 6 × 32 whose results have the same bits on every processor. The panel has one width everywhere; a tile goes through it in steps of two of the hardware's own
/// vectors, which no element's sum can see: each is a product and an addition, rounded one after the other, for each k in order.
/// </summary>
/// <typeparam name="TOps">The hardware's own table; of it, only what all processors round alike is used.</typeparam>
/// <typeparam name="TVec">Its vector, of up to 16 floats.</typeparam>
internal readonly unsafe struct PortableTiles<TOps, TVec> : IGemmMicroKernel
    where TOps : struct, ISimd<TVec>
    where TVec : unmanaged
{
    private const int Height = 6;
    private const int Columns = 32;

    public static PanelLayout Layout => new(Columns, Columns);

    public static int TurnedRows => 0;

    public static int Rows(int columns) => Height;

    public static delegate*<int, float*, float*, float*, nint, float*, float*, int, void> Tile(int columns) => &Tile6x32;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Tile6x32(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        GemmPrefetch.Tile<TOps, TVec>(c, ldc, Height, Columns / TOps.Width);
        for (int j = 0; j < Columns; j += 2 * TOps.Width, lines = 0)
            Pair(depth, a, b + j, c + j, ldc, bias is null ? null : bias + j, next, lines);
    }

    /// <summary>6 rows × 2 vectors of the tile.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pair(int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next, int lines)
    {
        const int S = GemmCore.RowStride;
        TVec c00 = TOps.Broadcast(0f), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
        TVec c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
        while (depth > 0)
        {
            int steps = Math.Min(depth, GemmPrefetch.Steps);
            depth -= steps;
            next = GemmPrefetch.Next<TOps, TVec>(next, lines);
            do
            {
                TVec b0 = TOps.Load(b), b1 = TOps.Load(b + TOps.Width);
                TVec x = TOps.Broadcast(a[0]);
                c00 = TOps.Add(c00, TOps.Multiply(x, b0));
                c01 = TOps.Add(c01, TOps.Multiply(x, b1));
                x = TOps.Broadcast(a[S]);
                c10 = TOps.Add(c10, TOps.Multiply(x, b0));
                c11 = TOps.Add(c11, TOps.Multiply(x, b1));
                x = TOps.Broadcast(a[2 * S]);
                c20 = TOps.Add(c20, TOps.Multiply(x, b0));
                c21 = TOps.Add(c21, TOps.Multiply(x, b1));
                x = TOps.Broadcast(a[3 * S]);
                c30 = TOps.Add(c30, TOps.Multiply(x, b0));
                c31 = TOps.Add(c31, TOps.Multiply(x, b1));
                x = TOps.Broadcast(a[4 * S]);
                c40 = TOps.Add(c40, TOps.Multiply(x, b0));
                c41 = TOps.Add(c41, TOps.Multiply(x, b1));
                x = TOps.Broadcast(a[5 * S]);
                c50 = TOps.Add(c50, TOps.Multiply(x, b0));
                c51 = TOps.Add(c51, TOps.Multiply(x, b1));
                a++;
                b += Columns;
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
