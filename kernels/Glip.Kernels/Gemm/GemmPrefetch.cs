using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// What a tile fetches ahead while it computes. Panels of B come from the third-level cache or memory, once a block of rows; hardware prefetchers stop at
/// page borders, every 16 to 64 steps of k, and each stop costs a full latency.
/// </summary>
internal static unsafe class GemmPrefetch
{
    /// <summary>Steps of k between two fetches.</summary>
    public const int Steps = 16;

    private const int LineFloats = 16;

    /// <summary>Floats of the next panel that a tile of <paramref name="accumulators"/> vectors fetches while it does <paramref name="depth"/> steps: together, the tiles of a block fetch one panel.</summary>
    public static nint Floats(int accumulators, int vectorWidth, int depth) => (nint)((depth + Steps - 1) / Steps) * Lines(accumulators, vectorWidth) * LineFloats;

    /// <summary>Fetches the tile of C, long before it is needed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Tile<TOps, TVec>(float* c, nint ldc, int rows, int vectors)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        for (int i = 0; i < rows; i++, c += ldc)
        {
            for (int j = 0; j < vectors * TOps.Width; j += LineFloats)
                TOps.PrefetchNear(c + j);
        }
    }

    /// <summary>Fetches the next panel's share of <see cref="Steps"/> steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Next<TOps, TVec>(ref float* next, int accumulators)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        for (int i = Lines(accumulators, TOps.Width); i > 0; i--, next += LineFloats)
            TOps.PrefetchFar(next);
    }

    // A panel of n vectors has n·width·depth floats, and BlockRows / rows tiles share it.
    private static int Lines(int accumulators, int vectorWidth) => Math.Max(1, Steps * accumulators * vectorWidth / (GemmCore.BlockRows * LineFloats));
}
