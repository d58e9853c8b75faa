using System.Numerics;
using System.Runtime.Intrinsics;

namespace Glip.Kernels.Tests;

/// <summary>The tiles themselves, also those that a context of this machine would not pick: portable bodies run at any width in software.</summary>
public unsafe class GemmMicroKernelTests
{
    [Fact]
    public void NarrowTilesOfScalarsAgree() => CheckTile<NarrowTiles<SimdScalar, float>>();

    [Fact]
    public void NarrowTilesOfVectorsAgree() => CheckTile<NarrowTiles<SimdVector, Vector<float>>>();

    [Fact]
    public void NarrowTilesOf128BitsAgree() => CheckTile<NarrowTiles<Simd128, Vector128<float>>>();

    [Fact]
    public void NarrowTilesOf256BitsAgree() => CheckTile<NarrowTiles<Simd256, Vector256<float>>>();

    [Fact]
    public void NarrowTilesOf512BitsAgree() => CheckTile<NarrowTiles<Simd512, Vector512<float>>>();

    [Fact]
    public void WideTilesOfScalarsAgree() => CheckTile<WideTiles<SimdScalar, float>>();

    [Fact]
    public void WideTilesOf512BitsAgree() => CheckTile<WideTiles<Simd512, Vector512<float>>>();

    [Theory]
    [EachIsa]
    public void TheTileOfEachInstructionSetAgreesAndHasTheTablesWidth(SimdIsa isa)
    {
        PanelLayout layout = default;
        var job = new TileJob(&layout);
        TestContexts.Get(isa).Run(ref job, 1);
        Assert.Equal(GemmTable.Layout(isa), layout);
    }

    [Fact]
    public void EveryTilesHeightDividesTheBlocks()
    {
        Check<NarrowTiles<SimdScalar, float>>();
        Check<WideTiles<SimdScalar, float>>();
        Check<NeonTiles>();

        static void Check<TTile>()
            where TTile : struct, IGemmMicroKernel
        {
            for (int width = TTile.Layout.Granule; width <= TTile.Layout.Width; width += TTile.Layout.Granule)
            {
                Assert.Equal(0, GemmCore.BlockRows % TTile.Rows(width));
                Assert.Equal(0, GemmCore.PaddedRows(1) % TTile.Rows(width));
            }
        }
    }

    private static void CheckTile<TTile>()
        where TTile : struct, IGemmMicroKernel
    {
        for (int width = TTile.Layout.Granule; width <= TTile.Layout.Width; width += TTile.Layout.Granule)
            CheckTile<TTile>(width);
    }

    private static void CheckTile<TTile>(int nr)
        where TTile : struct, IGemmMicroKernel
    {
        int mr = TTile.Rows(nr), ldc = nr + 3;
        foreach (int depth in (int[])[1, 2, 3, 4, 5, 8, 31, 256])
        {
            // Rows end with the buffer: beyond the last k of the last row lies the fence.
            float[] a = Noise.Uniform(1, ((mr - 1) * GemmCore.RowStride) + depth), b = Noise.Uniform(2, depth * nr), bias = Noise.Uniform(3, nr);
            float[] before = Noise.Uniform(4, ((mr - 1) * ldc) + nr);
            foreach (bool withBias in (bool[])[true, false])
            {
                Canary ca = Canary.Of(TTile.TurnedRows == 0 ? a : Turn(a, depth, mr)), cb = Canary.Of(b), cc = Canary.Of(before), cbias = Canary.Of(bias);
                fixed (float* pa = ca.Span, pb = cb.Span, pc = cc.Span, pbias = cbias.Span)
                    TTile.Tile(nr)(depth, pa, pb, pc, ldc, withBias ? pbias : null, pb, 3);
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

                Close.Within(expected, cc.Span, allowed, $"{typeof(TTile).Name} {mr}×{nr}, depth {depth}, bias {withBias}");
            }
        }
    }

    private static float[] Turn(float[] a, int depth, int rows) =>
        [.. Enumerable.Range(0, depth * rows).Select(at => a[(at % rows * GemmCore.RowStride) + (at / rows)])];

    private readonly struct TileJob(PanelLayout* layout) : IKernelJob
    {
        private readonly PanelLayout* _layout = layout;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            CheckTile<TTile>();
            *_layout = TTile.Layout;
        }
    }
}
