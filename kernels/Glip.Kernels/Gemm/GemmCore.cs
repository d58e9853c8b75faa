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
/// Sizes: an A block of 96 rows × 256 is 104 KB and stays in a 256 KB or larger second-level cache beside the B panels in use (16 KB to 64 KB). 96 is a
/// multiple of all tiles' rows (6, 8, 12).
/// </remarks>
internal static unsafe class GemmCore
{
    /// <summary>Most values of k of one pass.</summary>
    public const int MaxDepth = 256;

    /// <summary>Rows of a block.</summary>
    public const int BlockRows = 96;

    /// <summary>Floats from one row of an A panel to the next: an odd number of cache lines, so that rows fall into different cache sets.</summary>
    public const int RowStride = MaxDepth + 16;

    /// <summary>Elements of the largest tile: 24 vectors of 512 bits.</summary>
    private const int MaxTile = 384;

    /// <summary>Columns of the widest panel.</summary>
    private const int MaxWidth = 64;

    /// <summary>
    /// Floats that <see cref="Multiply"/> needs for up to <paramref name="rows"/> rows: the A block as filled, and turned for tiles that want that; a pass of a B panel that
    /// had to be widened.
    /// </summary>
    public static int PanelFloats(int rows) => (PaddedRows(rows) * (RowStride + MaxDepth)) + (MaxWidth * MaxDepth);

    /// <summary>Every tile's height divides this.</summary>
    public const int RowGranule = 24;

    /// <summary>Rows that <see cref="Multiply"/> may write for <paramref name="rows"/>: filled up to every tile's height.</summary>
    public static int PaddedRows(int rows) => (rows + RowGranule - 1) / RowGranule * RowGranule;

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
    /// <param name="columns">Columns to compute, a multiple of the panel width unless they are the last, or −1 for all.</param>
    /// <param name="cRows">Rows of C that may be written, if it has no room for the padding.</param>
    /// <param name="cColumns">Columns of C that may be written.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TSource, TOps, TVec, TTile>(
        ref TSource source, int row0, int rows, in PackedView b, float* c, nint ldc, float* panel, int firstColumn = 0, int columns = -1,
        int cRows = int.MaxValue, int cColumns = int.MaxValue)
        where TSource : struct, IRowSource
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
        where TTile : struct, IGemmMicroKernel
    {
        PanelLayout layout = TTile.Layout;
        int endColumn = columns < 0 ? b.PaddedColumns : firstColumn + columns;
        int lastWidth = (endColumn - firstColumn) % layout.Width;
        int filledRows = Math.Max(TileRows<TTile>(rows, layout.Width), lastWidth == 0 ? 0 : TileRows<TTile>(rows, lastWidth));
        int passes = (b.Depth + MaxDepth - 1) / MaxDepth;
        int passDepth = (((b.Depth + passes - 1) / passes) + 7) / 8 * 8;
        for (int k0 = 0; k0 < b.Depth; k0 += passDepth)
        {
            int depth = Math.Min(passDepth, b.Depth - k0);
            source.Fill<TOps, TVec>(row0, rows, k0, depth, panel);
            for (int i = rows; i < filledRows; i++)
                new Span<float>(panel + (i * RowStride), depth).Clear();
            float* turned = panel + (PaddedRows(rows) * RowStride);
            for (int i = 0; TTile.TurnedRows != 0 && i < filledRows; i += TTile.TurnedRows)
                Transposition.Run<TOps, TVec>(panel + (i * RowStride), RowStride, TTile.TurnedRows, depth, turned + (i * depth), TTile.TurnedRows);
            for (int j = firstColumn; j < endColumn; j += layout.Width)
            {
                int width = Math.Min(layout.Width, endColumn - j), height = TTile.Rows(width);
                float* bStored = b.At(((nint)j * b.Depth) + ((nint)k0 * width));
                float* bPanel = b.Type == PanelType.Single ? bStored : Widened<TOps, TVec>(b.Type, bStored, width * depth, turned + (PaddedRows(rows) * MaxDepth));
                float* bias = k0 == 0 && b.Bias is not null ? b.Bias + j : null;
                float* cPanel = c + (j - firstColumn);
                var tile = TTile.Tile(width);

                // While this panel is used, the one after it is fetched: of this pass, else the first of the next.
                float* next = j + layout.Width < endColumn
                    ? b.At(((nint)(j + width) * b.Depth) + ((nint)k0 * width))
                    : b.At(((nint)firstColumn * b.Depth) + ((nint)(k0 + depth < b.Depth ? k0 + depth : 0) * layout.Width));
                int lines = GemmPrefetch.Lines(width * depth * b.Type.ElementBytes() / sizeof(float), (rows + height - 1) / height, depth);
                nint fetched = GemmPrefetch.Floats(lines, depth);
                for (int i = 0; i < rows; i += height, next += fetched)
                {
                    float* a = TTile.TurnedRows == 0 ? panel + (i * RowStride) : turned + (i * depth);
                    if (i + height <= cRows && j - firstColumn + width <= cColumns)
                        tile(depth, a, bPanel, cPanel + (i * ldc), ldc, bias, next, lines);
                    else
                        Edge(tile, depth, a, bPanel, cPanel + (i * ldc), ldc, bias, next, lines, width, Math.Min(height, cRows - i), Math.Min(width, cColumns - (j - firstColumn)));
                }
            }
        }
    }

    /// <summary>Half-size panels are widened once for all rows of the block, into memory that stays in the second-level cache.</summary>
    private static float* Widened<TOps, TVec>(PanelType type, float* stored, int count, float* target)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        Widening.Run<TOps, TVec>(type, (ushort*)stored, target, count);
        return target;
    }

    private static int TileRows<TTile>(int rows, int width)
        where TTile : struct, IGemmMicroKernel
    {
        int height = TTile.Rows(width);
        return (rows + height - 1) / height * height;
    }

    /// <summary>A tile that reaches over C's border: computed aside, the inner part copied.</summary>
    private static void Edge(
        delegate*<int, float*, float*, float*, nint, float*, float*, int, void> tile, int depth, float* a, float* b, float* c, nint ldc, float* bias, float* next,
        int lines, int width, int rows, int columns)
    {
        float* aside = stackalloc float[MaxTile];
        if (bias is null)
        {
            for (int i = 0; i < rows; i++)
                new ReadOnlySpan<float>(c + (i * ldc), columns).CopyTo(new Span<float>(aside + (i * width), columns));
        }

        tile(depth, a, b, aside, width, bias, next, lines);
        for (int i = 0; i < rows; i++)
            new ReadOnlySpan<float>(aside + (i * width), columns).CopyTo(new Span<float>(c + (i * ldc), columns));
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
        Transposition.Run<TOps, TVec>(_columns + (k0 * _stride) + row0, _stride, depth, rows, panel, GemmCore.RowStride);
    }
}
