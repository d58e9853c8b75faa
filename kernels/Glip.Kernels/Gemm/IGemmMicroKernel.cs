namespace Glip.Kernels;

/// <summary>The register tiles of an instruction set: the innermost product of a GEMM. Rows of A are broadcast, columns of B are vectors.</summary>
/// <remarks>
/// <code>
/// A panel: rows GemmCore.RowStride floats apart, or turned   B panel: for each k, its columns side by side   C: rows ldc apart
/// </code>
/// A's constant row stride makes all row addresses constant offsets of one register, so such an A needs no transposition and suits tiles of any height.
/// </remarks>
internal unsafe interface IGemmMicroKernel
{
    /// <summary>How right sides are cut into panels.</summary>
    static abstract PanelLayout Layout { get; }

    /// <summary>
    /// 0 if tiles read A's rows as they are. Else A is turned for them, so many rows at a time: for each k, these rows side by side. By-lane
    /// instructions want that; elsewhere the rows are as good and cost nothing.
    /// </summary>
    static abstract int TurnedRows { get; }

    /// <summary>Rows of the tile for panels of this many columns; divides <see cref="GemmCore.RowGranule"/>.</summary>
    static abstract int Rows(int columns);

    /// <summary>
    /// The tile for panels of this many columns: <c>(depth, a, b, c, ldc, bias, next, lines)</c> computes <c>C = (bias or C) + A·B</c> over depth ≥ 1 values of k; the product
    /// is summed on its own and then added. bias is null to add to what C holds. From <c>next</c> on, memory is fetched into the second-level cache,
    /// so many <c>lines</c> for every <see cref="GemmPrefetch.Steps"/> of k; it need not be readable.
    /// </summary>
    static abstract delegate*<int, float*, float*, float*, nint, float*, float*, int, void> Tile(int columns);
}
