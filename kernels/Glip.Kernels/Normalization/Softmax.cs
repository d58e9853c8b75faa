namespace Glip.Kernels;

/// <summary>Softmax over rows.</summary>
public static unsafe class Softmax
{
    /// <summary><c>x = e^(x − max) / Σ e^(x − max)</c> for each row, in place.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[rows, columns].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Values of a row.</param>
    public static void Forward(KernelContext context, Span<float> x, int rows, int columns)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.Length(x, (long)rows * columns, nameof(x));
        fixed (float* px = x)
        {
            var job = new Job(px, columns);
            context.Run(ref job, rows);
        }
    }

    private readonly struct Job(float* x, int columns) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly int _columns = columns;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel => Rows.Softmax<TOps, TVec>(_x + ((nint)part * _columns), _columns);
    }
}
