using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Glip.Kernels;

/// <summary>The instruction sets that kernels are written for. Each is a row of <see cref="SimdIsas"/>.</summary>
public enum SimdIsa
{
    /// <summary>Plain float arithmetic; runs everywhere.</summary>
    Scalar,

    /// <summary><see cref="Vector{T}"/> at whatever width the runtime chose: the fallback for instruction sets without a name here.</summary>
    Vector,

    /// <summary>128-bit vectors without assuming fused multiply-add: SSE on x64, AdvSimd on ARM64.</summary>
    V128,

    /// <summary>256-bit vectors with AVX2 and FMA.</summary>
    Avx2,

    /// <summary>512-bit vectors with AVX-512 F, BW, CD, DQ and VL.</summary>
    Avx512,

    /// <summary>ARM64 AdvSimd with its by-lane fused multiply-add.</summary>
    Neon,

    /// <summary>The same bits on every processor, whatever its vectors: slower, never chosen unless asked for.</summary>
    Portable,
}

/// <summary>Names, detection and choice of instruction sets.</summary>
public static class SimdIsas
{
    /// <summary>All sets, best first: the order in which <see cref="Best"/> looks.</summary>
    /// <remarks>
    /// <see cref="SimdIsa.V128"/> stands above <see cref="SimdIsa.Vector"/> because without AVX2 both are 128 bits wide and only the first has a fixed width.
    /// <see cref="SimdIsa.Portable"/> comes after one that runs everywhere, so that it is the best of none.
    /// </remarks>
    public static IReadOnlyList<SimdIsa> All { get; } =
        [SimdIsa.Avx512, SimdIsa.Avx2, SimdIsa.Neon, SimdIsa.V128, SimdIsa.Vector, SimdIsa.Scalar, SimdIsa.Portable];

    /// <summary>The sets that this process can run, best first. In a NativeAOT program this is decided when it is compiled.</summary>
    public static IReadOnlyList<SimdIsa> Available => Array.FindAll([.. All], IsSupported);

    /// <summary>The fastest set that this process can run.</summary>
    public static SimdIsa Best => All.First(IsSupported);

    /// <summary>True if this process can run <paramref name="isa"/>, in hardware where the set names some.</summary>
    public static bool IsSupported(SimdIsa isa) => isa switch
    {
        SimdIsa.Scalar or SimdIsa.Portable => true,
        SimdIsa.Vector => System.Numerics.Vector.IsHardwareAccelerated,
        SimdIsa.V128 => Vector128.IsHardwareAccelerated,
        SimdIsa.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        SimdIsa.Avx512 => Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported,
        SimdIsa.Neon => AdvSimd.Arm64.IsSupported,
        _ => throw new ArgumentOutOfRangeException(nameof(isa), isa, "is not an instruction set"),
    };

    /// <summary>The name that command lines and results use: <c>avx512</c>.</summary>
    public static string Name(this SimdIsa isa) => isa switch
    {
        SimdIsa.Scalar => "scalar",
        SimdIsa.Vector => "vector",
        SimdIsa.V128 => "v128",
        SimdIsa.Avx2 => "avx2",
        SimdIsa.Avx512 => "avx512",
        SimdIsa.Neon => "neon",
        SimdIsa.Portable => "portable",
        _ => throw new ArgumentOutOfRangeException(nameof(isa), isa, "is not an instruction set"),
    };

    /// <summary>Reads a name; <c>auto</c> gives <see cref="Best"/>.</summary>
    /// <exception cref="ArgumentException">An unknown name.</exception>
    public static SimdIsa Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name == "auto")
            return Best;
        foreach (SimdIsa isa in All)
        {
            if (isa.Name() == name)
                return isa;
        }

        throw new ArgumentException($"unknown instruction set '{name}': expected auto, {string.Join(", ", Array.ConvertAll([.. All], Name))}", nameof(name));
    }
}
