namespace Glip.Kernels.Tests;

public unsafe class TranspositionTests
{
    [Theory]
    [EachIsa]
    public void EveryElementChangesPlacesAndNothingElseIsWritten(SimdIsa isa)
    {
        foreach ((int rows, int columns) in ((int, int)[])[(1, 1), (1, 40), (40, 1), (16, 16), (8, 32), (33, 17), (49, 32), (5, 67)])
        {
            int sourceStride = columns + 3, targetStride = rows + 5;
            float[] values = Noise.Uniform(1, ((rows - 1) * sourceStride) + columns);
            float[] turned = KernelProbe.RunOne(isa, (context, buffers) =>
            {
                Span<float> source = buffers.In(values), target = buffers.Out(((columns - 1) * targetStride) + rows);
                fixed (float* from = source, to = target)
                {
                    var job = new Job(from, sourceStride, rows, columns, to, targetStride);
                    context.Run(ref job, 1);
                }
            });
            for (int i = 0; i < turned.Length; i++)
            {
                int row = i % targetStride, column = i / targetStride;
                if (row < rows)
                    Assert.Equal(values[(row * sourceStride) + column], turned[i]);
                else
                    Assert.True(float.IsNaN(turned[i]), $"{rows} × {columns}: wrote beyond a row");
            }
        }
    }

    private readonly struct Job(float* source, nint sourceStride, int rows, int columns, float* target, nint targetStride) : IKernelJob
    {
        private readonly float* _source = source;
        private readonly float* _target = target;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel => Transposition.Run<TOps, TVec>(_source, sourceStride, rows, columns, _target, targetStride);
    }
}
