using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>How a tile leaves a row of sums: <c>c = (bias or c) + sums</c>, by one to four vectors.</summary>
internal static unsafe class TileEnd
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Finish<TOps, TVec>(float* c, float* bias, TVec s0, TVec s1, TVec s2, TVec s3)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float* start = bias is null ? c : bias;
        TOps.Store(TOps.Add(TOps.Load(start), s0), c);
        TOps.Store(TOps.Add(TOps.Load(start + TOps.Width), s1), c + TOps.Width);
        TOps.Store(TOps.Add(TOps.Load(start + (2 * TOps.Width)), s2), c + (2 * TOps.Width));
        TOps.Store(TOps.Add(TOps.Load(start + (3 * TOps.Width)), s3), c + (3 * TOps.Width));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Finish<TOps, TVec>(float* c, float* bias, TVec s0, TVec s1, TVec s2)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float* start = bias is null ? c : bias;
        TOps.Store(TOps.Add(TOps.Load(start), s0), c);
        TOps.Store(TOps.Add(TOps.Load(start + TOps.Width), s1), c + TOps.Width);
        TOps.Store(TOps.Add(TOps.Load(start + (2 * TOps.Width)), s2), c + (2 * TOps.Width));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Finish<TOps, TVec>(float* c, float* bias, TVec s0, TVec s1)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float* start = bias is null ? c : bias;
        TOps.Store(TOps.Add(TOps.Load(start), s0), c);
        TOps.Store(TOps.Add(TOps.Load(start + TOps.Width), s1), c + TOps.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Finish<TOps, TVec>(float* c, float* bias, TVec s0)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float* start = bias is null ? c : bias;
        TOps.Store(TOps.Add(TOps.Load(start), s0), c);
    }
}
