using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Rows of a left side, copied (or computed) piecewise into an A panel. What comes before a product is fused by writing another source.</summary>
internal unsafe interface IRowSource
{
    /// <summary>Writes k = <paramref name="k0"/> … <paramref name="k0"/> + <paramref name="depth"/> − 1 of <paramref name="rows"/> rows from <paramref name="row0"/>, each row <see cref="GemmCore.RowStride"/> after the one before.</summary>
    void Fill<TOps, TVec>(int row0, int rows, int k0, int depth, float* panel)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged;
}

/// <summary>
/// The cache blocking around the tiles, for one block of rows on one thread. Jobs call it and then do what follows the product on the
/// block while it is in the cache.
/// </summary>
/// <remarks>
/// Sizes: an A block of 96 rows × 256 is 104 KB and stays in a 256 KB or larger second-level cache beside one B panel (32 KB at 32 columns), which
/// stays in the first. 96 is a multiple of all tiles' rows (6, 8, 12).
/// </remarks>
internal static unsafe class GemmCore
{
    /// <summary>Most values of k of one pass.</summary>
    public const int MaxDepth = 256;

    /// <summary>Rows of a block.</summary>
    public const int BlockRows = 96;

    /// <summary>Floats from one row of an A panel to the next: an odd number of cache lines, so that rows fall into different cache sets.</summary>
    public const int RowStride = MaxDepth + 16;

    /// <summary>Floats of the A block that <see cref="Multiply"/> needs for up to <paramref name="rows"/> rows.</summary>
    public static int PanelFloats(int rows) => PaddedRows(rows) * RowStride;

    /// <summary>Rows that <see cref="Multiply"/> may write for <paramref name="rows"/>: filled up to every tile's height.</summary>
    public static int PaddedRows(int rows) => (rows + 23) / 24 * 24;

    /// <summary>Products of any number of rows: cut into even blocks, so that no block is a sliver that reads all of B for a few rows.</summary>
    public static void MultiplyAll<TSource, TOps, TVec, TTile>(ref TSource source, int rows, in PackedView b, float* c, nint ldc, float* panel)
        where TSource : struct, IRowSource
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
        where TTile : struct, IGemmMicroKernel
    {
        int blocks = (rows + BlockRows - 1) / BlockRows;
        int blockRows = blocks <= 1 ? rows : PaddedRows((rows + blocks - 1) / blocks);
        for (int row0 = 0; row0 < rows; row0 += blockRows)
            Multiply<TSource, TOps, TVec, TTile>(ref source, row0, Math.Min(blockRows, rows - row0), b, c + (row0 * ldc), ldc, panel);
    }

    /// <summary><c>C[rows, paddedColumns] = A·B + bias</c>, or <c>C += A·B</c> if the view's bias is null.</summary>
    /// <param name="source">Gives A's rows.</param>
    /// <param name="row0">First row.</param>
    /// <param name="rows">Rows, at most <see cref="BlockRows"/> unless the panel was made larger.</param>
    /// <param name="b">Right side.</param>
    /// <param name="c">Room for <see cref="PaddedRows"/> × ldc; rows beyond <paramref name="rows"/> get the product of zeros.</param>
    /// <param name="ldc">At least <see cref="PackedView.PaddedColumns"/>.</param>
    /// <param name="panel">Scratch of <see cref="PanelFloats"/>.</param>
    /// <param name="firstColumn">First column to compute, a multiple of the panel width; C starts there.</param>
    /// <param name="columns">Columns to compute, a multiple of the panel width, or −1 for all.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TSource, TOps, TVec, TTile>(
        ref TSource source, int row0, int rows, in PackedView b, float* c, nint ldc, float* panel, int firstColumn = 0, int columns = -1)
        where TSource : struct, IRowSource
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
        where TTile : struct, IGemmMicroKernel
    {
        int mr = TTile.Mr, nr = TTile.Nr;
        int endColumn = columns < 0 ? b.PaddedColumns : firstColumn + columns;
        int tileRows = (rows + mr - 1) / mr * mr;
        int passes = (b.Depth + MaxDepth - 1) / MaxDepth;
        int passDepth = (((b.Depth + passes - 1) / passes) + 7) / 8 * 8;
        for (int k0 = 0; k0 < b.Depth; k0 += passDepth)
        {
            int depth = Math.Min(passDepth, b.Depth - k0);
            source.Fill<TOps, TVec>(row0, rows, k0, depth, panel);
            for (int i = rows; i < tileRows; i++)
                new Span<float>(panel + (i * RowStride), depth).Clear();
            for (int j = firstColumn; j < endColumn; j += nr)
            {
                float* bPanel = b.Panels + ((nint)j * b.Depth) + ((nint)k0 * nr);
                float* bias = k0 == 0 && b.Bias is not null ? b.Bias + j : null;
                float* cPanel = c + (j - firstColumn);
                for (int i = 0; i < tileRows; i += mr)
                    TTile.Run(depth, panel + (i * RowStride), bPanel, cPanel + (i * ldc), ldc, bias);
            }
        }
    }
}

/// <summary>Rows of a matrix in memory.</summary>
internal readonly unsafe struct DenseRows(float* rows, nint stride) : IRowSource
{
    private readonly float* _rows = rows;
    private readonly nint _stride = stride;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Fill<TOps, TVec>(int row0, int rows, int k0, int depth, float* panel)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float* source = _rows + (row0 * _stride) + k0;
        for (int i = 0; i < rows; i++)
            Rows.Copy<TOps, TVec>(source + (i * _stride), panel + (i * GemmCore.RowStride), depth);
    }
}

/// <summary>Columns of a matrix in memory, taken as rows: the left side Aᵀ.</summary>
internal readonly unsafe struct TransposedRows(float* columns, nint stride) : IRowSource
{
    private readonly float* _columns = columns;
    private readonly nint _stride = stride;

    public void Fill<TOps, TVec>(int row0, int rows, int k0, int depth, float* panel)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        for (int k = 0; k < depth; k++)
        {
            float* source = _columns + ((k0 + k) * _stride) + row0;
            for (int i = 0; i < rows; i++)
                panel[(i * GemmCore.RowStride) + k] = source[i];
        }
    }
}
