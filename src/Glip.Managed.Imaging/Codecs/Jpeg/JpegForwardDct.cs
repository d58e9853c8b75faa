using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>The cosine transform of 8×8 blocks as two matrix products (T.81 A.3.3), in floating point.</summary>
internal static class JpegForwardDct
{
    private const int Side = JpegComponent.BlockSide;

    // [u · 8 + x]: how much sample x counts in frequency u; and the same with the indices exchanged.
    private static readonly float[] _cosines = Cosines();
    private static readonly float[] _transposed = Transposed(_cosines);

    /// <summary>Transforms a block.</summary>
    /// <param name="samples">64 values around 0, row-major.</param>
    /// <param name="coefficients">Receives 64 coefficients, row-major.</param>
    public static void Transform(ReadOnlySpan<float> samples, Span<float> coefficients)
    {
        Span<float> between = stackalloc float[Side * Side];
        Multiply(_cosines, samples, between);
        Multiply(between, _transposed, coefficients);
    }

    /// <summary>The product of two 8×8 matrices: each row of the result is a weighted sum of the rows of <paramref name="b"/>.</summary>
    private static void Multiply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> product)
    {
        ReadOnlySpan<Vector256<float>> rows = MemoryMarshal.Cast<float, Vector256<float>>(b)[..Side];
        for (int i = 0; i < Side; i++)
        {
            ReadOnlySpan<float> weights = a.Slice(i * Side, Side);
            Vector256<float> sum = rows[0] * weights[0];
            for (int k = 1; k < Side; k++)
                sum += rows[k] * weights[k];
            sum.CopyTo(product[(i * Side)..]);
        }
    }

    private static float[] Cosines()
    {
        var cosines = new float[Side * Side];
        for (int u = 0; u < Side; u++)
        {
            for (int x = 0; x < Side; x++)
                cosines[u * Side + x] = (float)(Math.Cos((2 * x + 1) * u * Math.PI / 16) * (u == 0 ? Math.Sqrt(0.125) : 0.5));
        }

        return cosines;
    }

    private static float[] Transposed(float[] matrix)
    {
        var transposed = new float[matrix.Length];
        for (int i = 0; i < transposed.Length; i++)
            transposed[i] = matrix[i % Side * Side + i / Side];
        return transposed;
    }
}
