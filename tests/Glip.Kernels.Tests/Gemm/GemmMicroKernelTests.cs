using System.Numerics;
using System.Runtime.Intrinsics;

namespace Glip.Kernels.Tests;

/// <summary>The tiles themselves, also those that a context of this machine would not pick: portable bodies run at any width in software.</summary>
public unsafe class GemmMicroKernelTests
{
    [Fact]
    public void Portable6x2OfScalarsAgrees() => CheckTile<Portable6x2<SimdScalar, float>>();

    [Fact]
    public void Portable6x2OfVectorsAgrees() => CheckTile<Portable6x2<SimdVector, Vector<float>>>();

    [Fact]
    public void Portable6x2Of128BitsAgrees() => CheckTile<Portable6x2<Simd128, Vector128<float>>>();

    [Fact]
    public void Portable6x2Of256BitsAgrees() => CheckTile<Portable6x2<Simd256, Vector256<float>>>();

    [Fact]
    public void Portable6x2Of512BitsAgrees() => CheckTile<Portable6x2<Simd512, Vector512<float>>>();

    [Fact]
    public void F32Avx512_12x32Agrees() => CheckTile<F32Avx512_12x32>();

    [Theory]
    [EachIsa]
    public void TheTileOfEachInstructionSetAgreesAndHasTheTablesWidth(SimdIsa isa)
    {
        int width = 0;
        var job = new TileJob(&width);
        TestContexts.Get(isa).Run(ref job, 1);
        Assert.Equal(GemmTable.PanelWidth(isa), width);
    }

    [Fact]
    public void EveryTilesHeightDividesTheBlocks()
    {
        foreach (int height in (int[])[Portable6x2<SimdScalar, float>.Mr, F32Avx512_12x32.Mr, F32Neon_8x8.Mr])
        {
            Assert.Equal(0, GemmCore.BlockRows % height);
            Assert.Equal(0, GemmCore.PaddedRows(1) % height);
        }
    }

    private static void CheckTile<TTile>()
        where TTile : struct, IGemmMicroKernel
    {
        int mr = TTile.Mr, nr = TTile.Nr, ldc = nr + 3;
        foreach (int depth in (int[])[1, 2, 3, 4, 5, 8, 31, 256])
        {
            // Rows end with the buffer: beyond the last k of the last row lies the fence.
            float[] a = Noise.Uniform(1, ((mr - 1) * GemmCore.RowStride) + depth), b = Noise.Uniform(2, depth * nr), bias = Noise.Uniform(3, nr);
            float[] before = Noise.Uniform(4, ((mr - 1) * ldc) + nr);
            foreach (bool withBias in (bool[])[true, false])
            {
                Canary ca = Canary.Of(a), cb = Canary.Of(b), cc = Canary.Of(before), cbias = Canary.Of(bias);
                fixed (float* pa = ca.Span, pb = cb.Span, pc = cc.Span, pbias = cbias.Span)
                    TTile.Run(depth, pa, pb, pc, ldc, withBias ? pbias : null);
                ca.VerifyUntouched();
                cb.VerifyUntouched();
                cc.Verify();
                double[] expected = Reference.Widen(before), allowed = new double[before.Length];
                for (int i = 0; i < mr; i++)
                {
                    for (int j = 0; j < nr; j++)
                    {
                        double sum = withBias ? bias[j] : before[(i * ldc) + j], magnitude = Math.Abs(sum);
                        for (int k = 0; k < depth; k++)
                        {
                            sum += (double)a[(i * GemmCore.RowStride) + k] * b[(k * nr) + j];
                            magnitude += Math.Abs((double)a[(i * GemmCore.RowStride) + k] * b[(k * nr) + j]);
                        }

                        expected[(i * ldc) + j] = sum;
                        allowed[(i * ldc) + j] = magnitude * Tolerance.Sum(depth);
                    }
                }

                Close.Within(expected, cc.Span, allowed, $"{typeof(TTile).Name}, depth {depth}, bias {withBias}");
            }
        }
    }

    private readonly struct TileJob(int* width) : IKernelJob
    {
        private readonly int* _width = width;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            CheckTile<TTile>();
            *_width = TTile.Nr;
        }
    }
}
