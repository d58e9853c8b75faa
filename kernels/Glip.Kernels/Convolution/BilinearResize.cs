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
    /// <param name="y">[H', W', C], or empty if only the moments are wanted.</param>
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
        if (!y.IsEmpty || moments.IsEmpty)
            Check.Length(y, (long)outputs * channels, nameof(y));
        if (!moments.IsEmpty)
            Check.Length(moments, ChannelMoments.PartialFloats(outputs, channels), nameof(moments));
        fixed (float* px = x)
        fixed (float* py = y)
        fixed (float* pm = moments)
        {
            var job = new Job(new AlignedSamples(px, height, width, channels, outputHeight, outputWidth), outputs, channels, py, pm);
            context.Run(ref job, ChannelMoments.Blocks(outputs), y.IsEmpty ? (long)ChannelMoments.BlockRows(outputs) * channels : 0);
        }
    }

    private readonly struct Job(AlignedSamples samples, int outputs, int channels, float* y, float* moments) : IKernelJob
    {
        private readonly AlignedSamples _samples = samples;
        private readonly float* _y = y;
        private readonly float* _moments = moments;
        private readonly int _outputs = outputs;
        private readonly int _channels = channels;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            int blockRows = ChannelMoments.BlockRows(_outputs), first = part * blockRows, rows = Math.Min(blockRows, _outputs - first);
            float* target = _y is null ? scratch : _y + ((nint)first * _channels);
            for (int i = 0; i < rows; i++)
                _samples.Cell<TOps, TVec>(first + i, target + ((nint)i * _channels));
            if (_moments is not null)
                ChannelMoments.Block<TOps, TVec>(target, _channels, rows, _channels, _moments + ((nint)part * 2 * _channels));
        }
    }
}

/// <summary>The cells of a map that is enlarged with aligned corners, one at a time.</summary>
internal readonly unsafe struct AlignedSamples(float* x, int height, int width, int channels, int outputHeight, int outputWidth)
{
    private readonly float* _x = x;
    private readonly int _height = height;
    private readonly int _width = width;
    private readonly int _channels = channels;
    private readonly int _outputWidth = outputWidth;
    private readonly float _scaleY = outputHeight > 1 ? (float)(height - 1) / (outputHeight - 1) : 0;
    private readonly float _scaleX = outputWidth > 1 ? (float)(width - 1) / (outputWidth - 1) : 0;

    /// <summary>Writes the channels of output cell <paramref name="cell"/>, counted row by row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Cell<TOps, TVec>(int cell, float* target)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        float fy = cell / _outputWidth * _scaleY, fx = cell % _outputWidth * _scaleX;
        int y0 = (int)fy, x0 = (int)fx;
        int y1 = Math.Min(y0 + 1, _height - 1), x1 = Math.Min(x0 + 1, _width - 1);
        float wy = fy - y0, wx = fx - x0;
        float* a = _x + ((((nint)y0 * _width) + x0) * _channels), b = _x + ((((nint)y0 * _width) + x1) * _channels);
        float* c = _x + ((((nint)y1 * _width) + x0) * _channels), d = _x + ((((nint)y1 * _width) + x1) * _channels);
        int i = 0;
        for (; i <= _channels - TOps.Width; i += TOps.Width)
            Blend<TOps, TVec>(a + i, b + i, c + i, d + i, wy, wx, target + i);
        for (; i < _channels; i++)
            Blend<SimdScalar, float>(a + i, b + i, c + i, d + i, wy, wx, target + i);
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
