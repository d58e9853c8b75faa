using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>
/// Modulated deformable convolution, 3×3 with padding 1 and one offset group (Zhu et al., Deformable ConvNets v2, CVPR 2019), by implicit GEMM:
/// samples are interpolated straight into the A panels.
/// </summary>
public static unsafe class ModulatedDeformConv2d
{
    /// <summary>Cells of the window.</summary>
    public const int Taps = 9;

    /// <summary>Offset channels: (dy, dx) for each cell, row-major.</summary>
    public const int OffsetChannels = 2 * Taps;

    /// <summary>
    /// For output (y, x) and cell k = 3i + j, the input is sampled bilinearly at (y·s − 1 + i + dy_k, x·s − 1 + j + dx_k), times mask_k; then
    /// the dot product with the weight.
    /// </summary>
    /// <remarks>
    /// Offsets and masks are addressed as flat memory with <em>this</em> output's plane size: <c>dy_k = offsets[2k·H'W' + p]</c>,
    /// <c>dx_k = offsets[(2k + 1)·H'W' + p]</c>, <c>mask_k = masks[k·H'W' + p]</c>. The buffers may be longer: DyConv hands the maps of the next finer level
    /// to the coarser one's convolution, whose original CUDA kernel reads them in just this way (specification trap T13; microsoft/DynamicHead
    /// issue 25). Positions at or beyond −1 or the size contribute 0; of the four neighbours, those outside are 0.
    /// </remarks>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="x">[H, W, C].</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    /// <param name="channels">C.</param>
    /// <param name="stride">1 or 2; the output has ceil(H/stride) × ceil(W/stride) cells.</param>
    /// <param name="offsets">At least [18, H', W'], channel planes.</param>
    /// <param name="masks">At least [9, H', W'], channel planes, 0…1.</param>
    /// <param name="weight">[O, 9·C] (see <see cref="Conv2d.ToChannelsLast"/>), packed.</param>
    /// <param name="y">[H', W', O].</param>
    /// <param name="moments">Receives the output's channel moments for a following group norm, or is empty.</param>
    public static void Forward(
        KernelContext context, ReadOnlySpan<float> x, int height, int width, int channels, int stride,
        ReadOnlySpan<float> offsets, ReadOnlySpan<float> masks, PackedMatrix weight, Span<float> y, Span<float> moments = default)
    {
        Check.That(stride is 1 or 2, $"stride {stride} is neither 1 nor 2", nameof(stride));
        Check.Packed(context, weight, Taps * channels, nameof(weight));
        Check.Length(x, (long)height * width * channels, nameof(x));
        var window = new ConvWindow(3, stride, 1);
        int outputs = window.Output(height) * window.Output(width);
        Check.Length(offsets, (long)OffsetChannels * outputs, nameof(offsets));
        Check.Length(masks, (long)Taps * outputs, nameof(masks));
        Check.Length(y, (long)outputs * weight.Columns, nameof(y));
        if (!moments.IsEmpty)
            Check.Length(moments, ChannelMoments.PartialFloats(outputs, weight.Columns), nameof(moments));
        fixed (float* px = x)
        fixed (float* po = offsets)
        fixed (float* pm = masks)
        fixed (float* py = y)
        fixed (float* partials = moments)
        {
            var source = new DeformableRows(px, height, width, channels, window, po, pm);
            ConvJob<DeformableRows>.Run(context, source, outputs, weight, py, planar: false, partials);
        }
    }
}

/// <summary>Rows of an implicit column matrix whose cells are sampled at learned positions.</summary>
internal readonly unsafe struct DeformableRows(
    float* x, int height, int width, int channels, ConvWindow window, float* offsets, float* masks) : IRowSource
{
    private readonly float* _x = x;
    private readonly float* _offsets = offsets;
    private readonly float* _masks = masks;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<TOps, TVec>(int row0, int rows, int k0, int depth, float* panel)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        int outputWidth = window.Output(width);
        nint plane = (nint)outputWidth * window.Output(height);
        for (int i = 0; i < rows; i++, panel += GemmCore.RowStride)
        {
            int p = row0 + i;
            int top = (p / outputWidth * window.Stride) - window.Padding, left = (p % outputWidth * window.Stride) - window.Padding;
            for (int k = k0; k < k0 + depth;)
            {
                int tap = k / channels, c0 = k % channels, run = Math.Min(channels - c0, k0 + depth - k);
                float y = top + (tap / 3) + _offsets[(2 * tap * plane) + p];
                float x = left + (tap % 3) + _offsets[(((2 * tap) + 1) * plane) + p];
                Sample<TOps, TVec>(y, x, _masks[(tap * plane) + p], c0, run, panel + (k - k0));
                k += run;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Sample<TOps, TVec>(float y, float x, float mask, int c0, int count, float* target)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
    {
        // Written so that NaN, too, lands outside.
        if (!(y > -1 && x > -1 && y < height && x < width))
        {
            new Span<float>(target, count).Clear();
            return;
        }

        int y0 = (int)MathF.Floor(y), x0 = (int)MathF.Floor(x);
        float fy = y - y0, fx = x - x0;
        float w00 = (1 - fy) * (1 - fx) * mask, w01 = (1 - fy) * fx * mask, w10 = fy * (1 - fx) * mask, w11 = fy * fx * mask;

        // A neighbour outside the map gets weight 0 and the address of one inside.
        int y1 = y0 + 1, x1 = x0 + 1;
        if (y0 < 0)
        {
            w00 = w01 = 0;
            y0 = 0;
        }

        if (y1 >= height)
        {
            w10 = w11 = 0;
            y1 = y0;
        }

        if (x0 < 0)
        {
            w00 = w10 = 0;
            x0 = 0;
        }

        if (x1 >= width)
        {
            w01 = w11 = 0;
            x1 = x0;
        }

        float* r0 = _x + ((nint)y0 * width * channels) + c0, r1 = _x + ((nint)y1 * width * channels) + c0;
        float* a = r0 + ((nint)x0 * channels), b = r0 + ((nint)x1 * channels), c = r1 + ((nint)x0 * channels), d = r1 + ((nint)x1 * channels);
        TVec va = TOps.Broadcast(w00), vb = TOps.Broadcast(w01), vc = TOps.Broadcast(w10), vd = TOps.Broadcast(w11);
        int i = 0;
        for (; i <= count - TOps.Width; i += TOps.Width)
        {
            TVec sum = TOps.Multiply(TOps.Load(a + i), va);
            sum = TOps.MultiplyAdd(TOps.Load(b + i), vb, sum);
            sum = TOps.MultiplyAdd(TOps.Load(c + i), vc, sum);
            TOps.Store(TOps.MultiplyAdd(TOps.Load(d + i), vd, sum), target + i);
        }

        for (; i < count; i++)
            target[i] = (a[i] * w00) + (b[i] * w01) + (c[i] * w10) + (d[i] * w11);
    }
}
