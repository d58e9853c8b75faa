namespace Glip.Kernels;

/// <summary>Which tile each instruction set uses: facts that packing needs without running a kernel.</summary>
public static class GemmTable
{
    /// <summary>Columns of a packed panel for <paramref name="isa"/>.</summary>
    public static int PanelWidth(SimdIsa isa) => isa switch
    {
        SimdIsa.Scalar => Portable6x2<SimdScalar, float>.Nr,
        SimdIsa.Vector => Portable6x2<SimdVector, System.Numerics.Vector<float>>.Nr,
        SimdIsa.V128 => Portable6x2<Simd128, System.Runtime.Intrinsics.Vector128<float>>.Nr,
        SimdIsa.Avx2 => Portable6x2<Simd256, System.Runtime.Intrinsics.Vector256<float>>.Nr,
        SimdIsa.Avx512 => F32Avx512_12x32.Nr,
        SimdIsa.Neon => F32Neon_8x8.Nr,
        _ => throw new ArgumentOutOfRangeException(nameof(isa), isa, "is not an instruction set"),
    };
}
