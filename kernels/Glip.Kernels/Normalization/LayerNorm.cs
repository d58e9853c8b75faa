namespace Glip.Kernels;

/// <summary>Layer normalisation (Ba et al., 2016) over the last axis.</summary>
public static unsafe class LayerNorm
{
    /// <summary><c>y = (z − mean)/√(variance + eps)·gamma + beta</c> with <c>z = x + residual</c>, biased variance; then kept within ± <paramref name="clamp"/>.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[rows, C].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="gamma">[C].</param>
    /// <param name="beta">[C].</param>
    /// <param name="eps">1e-5, or 1e-12 in BERT.</param>
    /// <param name="y">[rows, C]; may be <paramref name="x"/>.</param>
    /// <param name="residual">[rows, C] or empty; may be <paramref name="y"/>.</param>
    /// <param name="clamp">Limit on results.</param>
    public static void Forward(
        KernelContext context, ReadOnlySpan<float> x, int rows, ReadOnlySpan<float> gamma, ReadOnlySpan<float> beta, float eps, Span<float> y,
        ReadOnlySpan<float> residual = default, float clamp = float.PositiveInfinity)
    {
        ArgumentNullException.ThrowIfNull(context);
        int channels = gamma.Length;
        Check.Length(x, (long)rows * channels, nameof(x));
        Check.Length(y, (long)rows * channels, nameof(y));
        Check.Length(beta, channels, nameof(beta));
        if (!residual.IsEmpty)
            Check.Length(residual, (long)rows * channels, nameof(residual));
        fixed (float* px = x)
        fixed (float* pr = residual)
        fixed (float* pg = gamma)
        fixed (float* pb = beta)
        fixed (float* py = y)
        {
            var job = new Job(px, pr, pg, pb, py, rows, channels, eps, clamp);
            context.Run(ref job, (rows + Job.RowsPerPart - 1) / Job.RowsPerPart);
        }
    }

    private readonly struct Job(float* x, float* residual, float* gamma, float* beta, float* y, int rows, int channels, float eps, float clamp) : IKernelJob
    {
        public const int RowsPerPart = 256;

        private readonly float* _x = x;
        private readonly float* _residual = residual;
        private readonly float* _gamma = gamma;
        private readonly float* _beta = beta;
        private readonly float* _y = y;
        private readonly int _rows = rows;
        private readonly int _channels = channels;
        private readonly float _eps = eps;
        private readonly float _clamp = clamp;

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int end = Math.Min(_rows, (part + 1) * RowsPerPart);
            for (int i = part * RowsPerPart; i < end; i++)
            {
                nint at = (nint)i * _channels;
                float* row = _x + at;
                if (_residual is not null)
                {
                    Rows.Add<TOps, TVec>(row, _residual + at, _y + at, _channels);
                    row = _y + at;
                }

                Rows.LayerNorm<TOps, TVec>(row, _gamma, _beta, _eps, _y + at, _channels);
                Rows.Clamp<TOps, TVec>(_y + at, _channels, _clamp);
            }
        }
    }
}
