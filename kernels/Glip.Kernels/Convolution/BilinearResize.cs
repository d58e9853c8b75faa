using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>Bilinear resize with aligned corners (torch's <c>upsample_bilinear</c>, as DyConv uses it).</summary>
public static unsafe class BilinearResize
{
    /// <summary>Output cell i reads position <c>i·(in − 1)/(out − 1)</c>; a source of one cell repeats.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[H, W, C].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="channels">C.</param>
    /// <param name="y">[H', W', C].</param>
    /// <param name="outputHeight">H'.</param>
    /// <param name="outputWidth">W'.</param>
    /// <param name="moments">Receives the output's channel moments, or is empty.</param>
    public static void AlignCorners(
        KernelContext context, ReadOnlySpan<float> x, int height, int width, int channels, Span<float> y, int outputHeight, int outputWidth,
        Span<float> moments = default)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.That(height > 0 && width > 0, $"a map of {height} × {width} cells has nothing to resize", nameof(x));
        int outputs = outputHeight * outputWidth;
        Check.Length(x, (long)height * width * channels, nameof(x));
        Check.Length(y, (long)outputs * channels, nameof(y));
        if (!moments.IsEmpty)
            Check.Length(moments, ChannelMoments.PartialFloats(outputs, channels), nameof(moments));
        fixed (float* px = x)
        fixed (float* py = y)
        fixed (float* pm = moments)
        {
            var job = new Job(px, height, width, channels, py, outputHeight, outputWidth, pm);
            context.Run(ref job, ChannelMoments.Blocks(outputs));
        }
    }

    private readonly struct Job(float* x, int height, int width, int channels, float* y, int outputHeight, int outputWidth, float* moments) : IKernelJob
    {
        private readonly float* _x = x;
        private readonly float* _y = y;
        private readonly float* _moments = moments;
        private readonly int _height = height;
        private readonly int _width = width;
        private readonly int _channels = channels;
        private readonly int _outputHeight = outputHeight;
        private readonly int _outputWidth = outputWidth;
        private readonly float _scaleY = outputHeight > 1 ? (float)(height - 1) / (outputHeight - 1) : 0;
        private readonly float _scaleX = outputWidth > 1 ? (float)(width - 1) / (outputWidth - 1) : 0;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int outputs = _outputHeight * _outputWidth, blockRows = ChannelMoments.BlockRows(outputs), first = part * blockRows, end = Math.Min(first + blockRows, outputs);
            for (int cell = first; cell < end; cell++)
            {
                float fy = cell / _outputWidth * _scaleY, fx = cell % _outputWidth * _scaleX;
                int y0 = (int)fy, x0 = (int)fx;
                int y1 = Math.Min(y0 + 1, _height - 1), x1 = Math.Min(x0 + 1, _width - 1);
                float wy = fy - y0, wx = fx - x0;
                float* a = _x + ((((nint)y0 * _width) + x0) * _channels), b = _x + ((((nint)y0 * _width) + x1) * _channels);
                float* c = _x + ((((nint)y1 * _width) + x0) * _channels), d = _x + ((((nint)y1 * _width) + x1) * _channels);
                float* target = _y + ((nint)cell * _channels);
                int i = 0;
                for (; i <= _channels - TOps.Width; i += TOps.Width)
                    Blend<TOps, TVec>(a + i, b + i, c + i, d + i, wy, wx, target + i);
                for (; i < _channels; i++)
                    Blend<SimdScalar, float>(a + i, b + i, c + i, d + i, wy, wx, target + i);
            }

            if (_moments is not null)
                ChannelMoments.Block<TOps, TVec>(_y + ((nint)first * _channels), _channels, end - first, _channels, _moments + ((nint)part * 2 * _channels));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Blend<TOps, TVec>(float* a, float* b, float* c, float* d, float wy, float wx, float* target)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
        {
            TVec right = TOps.Broadcast(wx), left = TOps.Broadcast(1 - wx);
            TVec top = TOps.MultiplyAdd(TOps.Load(b), right, TOps.Multiply(TOps.Load(a), left));
            TVec bottom = TOps.MultiplyAdd(TOps.Load(d), right, TOps.Multiply(TOps.Load(c), left));
            TOps.Store(TOps.MultiplyAdd(bottom, TOps.Broadcast(wy), TOps.Multiply(top, TOps.Broadcast(1 - wy))), target);
        }
    }
}
