using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Matrices turned over, vector by vector.</summary>
internal static unsafe class Transposition
{
    /// <summary>target[j, i] = source[i, j].</summary>
    /// <param name="source">[rows, columns], rows <paramref name="sourceStride"/> floats apart.</param>
    /// <param name="sourceStride">At least <paramref name="columns"/>.</param>
    /// <param name="rows">Rows of the source.</param>
    /// <param name="columns">Columns of the source.</param>
    /// <param name="target">[columns, rows], rows <paramref name="targetStride"/> floats apart; nothing beyond is written.</param>
    /// <param name="targetStride">At least <paramref name="rows"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<TOps, TVec>(float* source, nint sourceStride, int rows, int columns, float* target, nint targetStride)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int wholeRows = rows - (rows % TOps.Width), wholeColumns = columns - (columns % TOps.Width);
        for (int i = 0; i < wholeRows; i += TOps.Width)
        {
            for (int j = 0; j < wholeColumns; j += TOps.Width)
                TOps.Transpose(source + (i * sourceStride) + j, sourceStride, target + (j * targetStride) + i, targetStride);
        }

        Plain(source + wholeColumns, sourceStride, wholeRows, columns - wholeColumns, target + (wholeColumns * targetStride), targetStride);
        Plain(source + (wholeRows * sourceStride), sourceStride, rows - wholeRows, columns, target + wholeRows, targetStride);
    }

    private static void Plain(float* source, nint sourceStride, int rows, int columns, float* target, nint targetStride)
    {
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
                target[(j * targetStride) + i] = source[(i * sourceStride) + j];
        }
    }
}
