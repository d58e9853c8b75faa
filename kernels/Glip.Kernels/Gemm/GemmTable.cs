using System.Numerics;
using System.Runtime.Intrinsics;

namespace Glip.Kernels;

/// <summary>How a right side is cut: panels of <paramref name="Width"/> columns, the last one as narrow as whole vectors allow.</summary>
/// <param name="Width">Columns of a full panel.</param>
/// <param name="Granule">Columns of a vector; the last panel has a multiple of these.</param>
public readonly record struct PanelLayout(int Width, int Granule)
{
    /// <summary><paramref name="columns"/> filled up to whole vectors.</summary>
    public int Padded(int columns) => (columns + Granule - 1) / Granule * Granule;
}

/// <summary>Which tiles each instruction set uses: facts that packing needs without running a kernel.</summary>
public static class GemmTable
{
    /// <summary>How right sides are cut for <paramref name="isa"/>.</summary>
    public static PanelLayout Layout(SimdIsa isa) => isa switch
    {
        SimdIsa.Scalar => NarrowTiles<SimdScalar, float>.Layout,
        SimdIsa.Vector => NarrowTiles<SimdVector, Vector<float>>.Layout,
        SimdIsa.V128 => NarrowTiles<Simd128, Vector128<float>>.Layout,
        SimdIsa.Avx2 => NarrowTiles<Simd256, Vector256<float>>.Layout,
        SimdIsa.Avx512 => WideTiles<Simd512, Vector512<float>>.Layout,
        SimdIsa.Neon => NeonTiles.Layout,
        SimdIsa.Portable => PortableTiles<SimdScalar, float>.Layout,
        _ => throw new ArgumentOutOfRangeException(nameof(isa), isa, "is not an instruction set"),
    };
}
