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

    // More than a DyHead layer has.
    private const int MostMapsOnStack = 32;

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
        ReadOnlySpan<float> offsets, ReadOnlySpan<float> masks, PackedMatrix weight, Span<float> y, Span<float> moments = default) =>
        ForwardAll(context, [weight], channels, [new DeformableMap(0, height, width, stride, 0, 0, 0, 0, 0)], x, offsets, masks, y, moments);

    /// <summary>Several of these in one job, as a DyHead layer needs them: small maps keep workers busy while the last parts of large ones are still computed.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="weights">[O, 9·C] each, packed.</param>
    /// <param name="channels">C of all maps.</param>
    /// <param name="maps">What to convolve, large maps first, and where in the following it lies.</param>
    /// <param name="x">All inputs.</param>
    /// <param name="offsets">All offsets.</param>
    /// <param name="masks">All masks; may be the same memory as <paramref name="offsets"/>.</param>
    /// <param name="y">Receives all results.</param>
    /// <param name="moments">Receives all moments, or is empty.</param>
    public static void ForwardAll(
        KernelContext context, ReadOnlySpan<PackedMatrix> weights, int channels, ReadOnlySpan<DeformableMap> maps,
        ReadOnlySpan<float> x, ReadOnlySpan<float> offsets, ReadOnlySpan<float> masks, Span<float> y, Span<float> moments)
    {
        ArgumentNullException.ThrowIfNull(context);
        Span<ConvMap<DeformableRows>> shares = maps.Length <= MostMapsOnStack ? stackalloc ConvMap<DeformableRows>[maps.Length] : new ConvMap<DeformableRows>[maps.Length];
        fixed (float* px = x)
        fixed (float* po = offsets)
        fixed (float* pm = masks)
        fixed (float* py = y)
        fixed (float* partials = moments)
        {
            for (int i = 0; i < maps.Length; i++)
            {
                DeformableMap map = maps[i];
                Check.That(map.Stride is 1 or 2, $"stride {map.Stride} is neither 1 nor 2", "stride");
                Check.That((map.X | map.Offsets | map.Masks | map.Y | map.Moments) >= 0, $"{map} begins before its memory", nameof(maps));
                PackedMatrix weight = weights[map.Weight];
                Check.Packed(context, weight, Taps * channels, nameof(weight));
                var window = new ConvWindow(3, map.Stride, 1);
                int outputs = window.Output(map.Height) * window.Output(map.Width);
                Check.Length(x, map.X + ((long)map.Height * map.Width * channels), nameof(x));
                Check.Length(offsets, map.Offsets + ((long)OffsetChannels * outputs), nameof(offsets));
                Check.Length(masks, map.Masks + ((long)Taps * outputs), nameof(masks));
                Check.Length(y, map.Y + ((long)outputs * weight.Columns), nameof(y));
                if (!moments.IsEmpty)
                    Check.Length(moments, map.Moments + (long)ChannelMoments.PartialFloats(outputs, weight.Columns), nameof(moments));
                var source = new DeformableRows(px + map.X, map.Height, map.Width, channels, window, po + map.Offsets, pm + map.Masks);
                shares[i] = new ConvMap<DeformableRows>(source, outputs, weight.View, py + map.Y, moments.IsEmpty ? null : partials + map.Moments);
            }

            ConvJob<DeformableRows>.Run(context, shares);
        }

        foreach (PackedMatrix weight in weights)
            GC.KeepAlive(weight);
    }
}

/// <summary>One of several modulated deformable convolutions; what lies in common memory is given by its first float there.</summary>
/// <param name="Weight">Index of its weights.</param>
/// <param name="Height">H of the input.</param>
/// <param name="Width">W of the input.</param>
/// <param name="Stride">1 or 2.</param>
/// <param name="X">Its [H, W, C].</param>
/// <param name="Offsets">Its [18, H', W'].</param>
/// <param name="Masks">Its [9, H', W'].</param>
/// <param name="Y">Its [H', W', O].</param>
/// <param name="Moments">Its output's channel moments.</param>
public readonly record struct DeformableMap(int Weight, int Height, int Width, int Stride, int X, int Offsets, int Masks, int Y, int Moments);

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
        for (int k = k0; k < k0 + depth;)
        {
            // Tap by tap: neighbouring outputs sample neighbouring cells, which are then still in the first-level cache.
            int tap = k / channels, c0 = k % channels, run = Math.Min(channels - c0, k0 + depth - k);
            float* dy = _offsets + (2 * tap * plane), dx = dy + plane, masks = _masks + (tap * plane), target = panel + (k - k0);
            int x0 = row0 % outputWidth, top = (row0 / outputWidth * window.Stride) - window.Padding + (tap / 3), left = (tap % 3) - window.Padding;
            for (int p = row0; p < row0 + rows; p++, target += GemmCore.RowStride)
            {
                Sample<TOps, TVec>(top + dy[p], left + (x0 * window.Stride) + dx[p], masks[p], c0, run, target);
                if (++x0 == outputWidth)
                {
                    x0 = 0;
                    top += window.Stride;
                }
            }

            k += run;
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

        int y0 = (int)MathF.Floor(y), x0 = (int)MathF.Floor(x), right = channels;
        float fy = y - y0, fx = x - x0;
        float w00 = (1 - fy) * (1 - fx) * mask, w01 = (1 - fy) * fx * mask, w10 = fy * (1 - fx) * mask, w11 = fy * fx * mask;
        nint down = (nint)width * channels;
        if ((uint)y0 >= (uint)(height - 1) || (uint)x0 >= (uint)(width - 1))
        {
            // At the border, a neighbour outside the map gets weight 0 and the address of one inside.
            if (y0 < 0)
            {
                w00 = w01 = 0;
                y0 = 0;
                down = 0;
            }
            else if (y0 == height - 1)
            {
                w10 = w11 = 0;
                down = 0;
            }

            if (x0 < 0)
            {
                w00 = w10 = 0;
                x0 = 0;
                right = 0;
            }
            else if (x0 == width - 1)
            {
                w01 = w11 = 0;
                right = 0;
            }
        }

        float* a = _x + ((((nint)y0 * width) + x0) * channels) + c0, b = a + right, c = a + down, d = c + right;
        TVec va = TOps.Broadcast(w00), vb = TOps.Broadcast(w01), vc = TOps.Broadcast(w10), vd = TOps.Broadcast(w11);
        int i = 0;
        for (; i <= count - (2 * TOps.Width); i += 2 * TOps.Width)
        {
            int j = i + TOps.Width;
            TVec first = TOps.Multiply(TOps.Load(a + i), va), second = TOps.Multiply(TOps.Load(a + j), va);
            first = TOps.MultiplyAdd(TOps.Load(b + i), vb, first);
            second = TOps.MultiplyAdd(TOps.Load(b + j), vb, second);
            first = TOps.MultiplyAdd(TOps.Load(c + i), vc, first);
            second = TOps.MultiplyAdd(TOps.Load(c + j), vc, second);
            TOps.Store(TOps.MultiplyAdd(TOps.Load(d + i), vd, first), target + i);
            TOps.Store(TOps.MultiplyAdd(TOps.Load(d + j), vd, second), target + j);
        }

        for (; i < count; i++)
            target[i] = SimdScalar.MultiplyAdd(d[i], w11, SimdScalar.MultiplyAdd(c[i], w10, SimdScalar.MultiplyAdd(b[i], w01, a[i] * w00)));
    }
}
