namespace Glip.Kernels;

/// <summary>Scales rows to unit length.</summary>
public static unsafe class L2Normalize
{
    /// <summary><c>y = x / max(‖x‖₂, eps)</c> for each row.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[rows, columns].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Values of a row.</param>
    /// <param name="eps">Smallest length to divide by (1e-12 in GLIP's head).</param>
    /// <param name="y">[rows, columns]; may be <paramref name="x"/>.</param>
    public static void Forward(KernelContext context, ReadOnlySpan<float> x, int rows, int columns, float eps, Span<float> y)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.Length(x, (long)rows * columns, nameof(x));
        Check.Length(y, (long)rows * columns, nameof(y));
        fixed (float* px = x)
        fixed (float* py = y)
        {
            var job = new Job(px, py, columns, eps);
            context.Run(ref job, rows);
        }
    }

    private readonly struct Job(float* x, float* y, int columns, float eps) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _y = y;
        private readonly int _columns = columns;
        private readonly float _eps = eps;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            float* row = _x + ((nint)part * _columns), target = _y + ((nint)part * _columns);
            float length = MathF.Max(MathF.Sqrt(Rows.Dot<TOps, TVec>(row, row, _columns)), _eps);
            Rows.Copy<TOps, TVec>(row, target, _columns);
            Rows.Scale<TOps, TVec>(target, 1f / length, _columns);
        }
    }
}
