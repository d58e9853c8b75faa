namespace Glip.Kernels;

/// <summary>Nearest-neighbour resize (torch's default <c>interpolate</c>, as the FPN uses it).</summary>
public static unsafe class NearestResize
{
    /// <summary><c>y[i, j] += x[floor(i·H/H'), floor(j·W/W')]</c>.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[H, W, C].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="channels">C.</param>
    /// <param name="y">[H', W', C].</param>
    /// <param name="outputHeight">H'.</param>
    /// <param name="outputWidth">W'.</param>
    public static void Add(
        KernelContext context, ReadOnlySpan<float> x, int height, int width, int channels, Span<float> y, int outputHeight, int outputWidth)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.That(height > 0 && width > 0, $"a map of {height} × {width} cells has nothing to resize", nameof(x));
        Check.Length(x, (long)height * width * channels, nameof(x));
        Check.Length(y, (long)outputHeight * outputWidth * channels, nameof(y));
        fixed (float* px = x)
        fixed (float* py = y)
        {
            var job = new Job(px, height, width, channels, py, outputHeight, outputWidth);
            context.Run(ref job, outputHeight);
        }
    }

    private readonly struct Job(float* x, int height, int width, int channels, float* y, int outputHeight, int outputWidth) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _y = y;
        private readonly int _height = height;
        private readonly int _width = width;
        private readonly int _channels = channels;
        private readonly int _outputHeight = outputHeight;
        private readonly int _outputWidth = outputWidth;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            float* source = _x + ((nint)part * _height / _outputHeight * _width * _channels);
            float* target = _y + ((nint)part * _outputWidth * _channels);
            for (int j = 0; j < _outputWidth; j++, target += _channels)
                Rows.Add<TOps, TVec>(source + ((nint)j * _width / _outputWidth * _channels), target, target, _channels);
        }
    }
}
