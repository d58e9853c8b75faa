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

    /// <summary>Lines that each of <paramref name="tiles"/> tiles must fetch every <see cref="Steps"/> steps so that together they fetch a panel.</summary>
    public static int Lines(int panelFloats, int tiles, int depth)
    {
        int slots = tiles * Slots(depth) * LineFloats;
        return (panelFloats + slots - 1) / slots;
    }

    /// <summary>Floats that a tile fetches.</summary>
    public static nint Floats(int lines, int depth) => (nint)Slots(depth) * lines * LineFloats;

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

    /// <summary>Fetches the share of <see cref="Steps"/> steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float* Next<TOps, TVec>(float* next, int lines)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        for (; lines > 0; lines--, next += LineFloats)
            TOps.PrefetchFar(next);
        return next;
    }

    private static int Slots(int depth) => (depth + Steps - 1) / Steps;
}
