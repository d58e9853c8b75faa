namespace Glip.Kernels;

/// <summary>Brings 2×2 cells together for Swin's patch merging.</summary>
public static unsafe class PatchGather
{
    /// <summary>y[i, j] = x[2i, 2j] ‖ x[2i + 1, 2j] ‖ x[2i, 2j + 1] ‖ x[2i + 1, 2j + 1], zeros beyond an odd side.</summary>
    /// <remarks>The order runs down columns first (trap T9), unlike <c>unfold</c>'s.</remarks>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[H, W, C].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="channels">C.</param>
    /// <param name="y">[ceil(H/2), ceil(W/2), 4C].</param>
    public static void Forward(KernelContext context, ReadOnlySpan<float> x, int height, int width, int channels, Span<float> y)
    {
        ArgumentNullException.ThrowIfNull(context);
        int outputHeight = (height + 1) / 2, outputWidth = (width + 1) / 2;
        Check.Length(x, (long)height * width * channels, nameof(x));
        Check.Length(y, 4L * outputHeight * outputWidth * channels, nameof(y));
        fixed (float* px = x)
        fixed (float* py = y)
        {
            var job = new Job(px, height, width, channels, py);
            context.Run(ref job, outputHeight);
        }
    }

    private readonly struct Job(float* x, int height, int width, int channels, float* y) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _y = y;
        private readonly int _height = height;
        private readonly int _width = width;
        private readonly int _channels = channels;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int outputWidth = (_width + 1) / 2;
            float* target = _y + ((nint)part * outputWidth * 4 * _channels);
            for (int j = 0; j < outputWidth; j++)
            {
                for (int corner = 0; corner < 4; corner++, target += _channels)
                {
                    int row = (2 * part) + (corner % 2), column = (2 * j) + (corner / 2);
                    if (row < _height && column < _width)
                        Rows.Copy<TOps, TVec>(_x + ((((nint)row * _width) + column) * _channels), target, _channels);
                    else
                        new Span<float>(target, _channels).Clear();
                }
            }
        }
    }
}
