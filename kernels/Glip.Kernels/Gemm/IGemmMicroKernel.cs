namespace Glip.Kernels;

/// <summary>A register tile: the innermost product of a GEMM. Rows of A are broadcast, columns of B are vectors.</summary>
/// <remarks>
/// <code>
/// A panel: Mr rows, GemmCore.RowStride floats apart   B panel: for each k, Nr floats   C: Mr × Nr, rows ldc apart
/// </code>
/// A's constant row stride makes all row addresses constant offsets of one register, so A needs no transposition.
/// </remarks>
internal unsafe interface IGemmMicroKernel
{
    /// <summary>Rows of the tile.</summary>
    static abstract int Mr { get; }

    /// <summary>Columns of the tile, which is the width of a packed B panel.</summary>
    static abstract int Nr { get; }

    /// <summary><c>C = (bias or C) + A·B</c> over <paramref name="depth"/> values of k. The product is summed on its own and then added.</summary>
    /// <param name="depth">Values of k, 1 or more.</param>
    /// <param name="a">First row of the A panel at the first k.</param>
    /// <param name="b">B panel at the first k.</param>
    /// <param name="c">Top left of C.</param>
    /// <param name="ldc">Floats from one row of C to the next.</param>
    /// <param name="bias">Nr values that start each row, or null to add to what C holds.</param>
    static abstract void Run(int depth, float* a, float* b, float* c, nint ldc, float* bias);
}
