using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Half-size numbers to single precision. Exact.</summary>
internal static unsafe class Widening
{
    /// <summary>Writes <paramref name="count"/> numbers in single precision.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<TOps, TVec>(PanelType type, ushort* source, float* target, int count)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int i = 0;
        if (type == PanelType.Half)
        {
            for (; i <= count - TOps.Width; i += TOps.Width)
                TOps.Store(Half<TOps, TVec>(source + i), target + i);
            for (; i < count; i++)
                target[i] = Half<SimdScalar, float>(source + i);
        }
        else
        {
            for (; i <= count - TOps.Width; i += TOps.Width)
                TOps.Store(TOps.Expand(source + i, 0xFFFF, 16, 0), target + i);
            for (; i < count; i++)
                target[i] = SimdScalar.Expand(source + i, 0xFFFF, 16, 0);
        }
    }

    /// <summary>
    /// The magnitude's bits in place, the exponent's bias raised from 15 to 127, times ±1. A subnormal would so get the implicit one that it lacks; doubled, it stands
    /// one binade higher, where that one is worth 2⁻¹⁴ and can be taken off. No step makes a subnormal of single precision, which would cost over a hundred cycles.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVec Half<TOps, TVec>(ushort* source)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        const float SmallestNormal = 1f / (1 << 14);
        TVec magnitude = TOps.Expand(source, 0x7FFF, 13, (127 - 15) << 23);
        TVec sign = TOps.Expand(source, 0x8000, 16, 127 << 23);
        TVec smallest = TOps.Broadcast(SmallestNormal);
        TVec subnormal = TOps.Subtract(TOps.Add(magnitude, magnitude), smallest);
        return TOps.Multiply(TOps.SelectLess(magnitude, smallest, subnormal, magnitude), sign);
    }
}
