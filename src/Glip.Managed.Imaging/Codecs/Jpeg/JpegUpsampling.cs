using System.Numerics;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>
/// Brings rows of a subsampled component to the picture's size. Where one factor is 2 and the other 1 or 2 by a triangle
/// filter, in which the nearer sample weighs 3 and the farther 1; its rounding alternates, so that it adds no bias.
/// Other factors repeat samples.
/// </summary>
internal static class JpegUpsampling
{
    /// <summary>Sums of the filter down: 3 times the nearer row and once the farther.</summary>
    /// <param name="near">Row of samples.</param>
    /// <param name="far">Row of samples above or below it.</param>
    /// <param name="sums">Receives one sum a sample.</param>
    public static void Blend(ReadOnlySpan<byte> near, ReadOnlySpan<byte> far, Span<ushort> sums)
    {
        far = far[..near.Length];
        sums = sums[..near.Length];
        int i = 0;
        if (Vector.IsHardwareAccelerated)
        {
            for (; i <= near.Length - Vector<byte>.Count; i += Vector<byte>.Count)
            {
                Vector.Widen(new Vector<byte>(near[i..]), out Vector<ushort> nearLow, out Vector<ushort> nearHigh);
                Vector.Widen(new Vector<byte>(far[i..]), out Vector<ushort> farLow, out Vector<ushort> farHigh);
                (nearLow + nearLow + nearLow + farLow).CopyTo(sums[i..]);
                (nearHigh + nearHigh + nearHigh + farHigh).CopyTo(sums[(i + Vector<ushort>.Count)..]);
            }
        }

        BlendScalar(near[i..], far[i..], sums[i..]);
    }

    /// <summary><see cref="Blend"/>, one sample at a time.</summary>
    public static void BlendScalar(ReadOnlySpan<byte> near, ReadOnlySpan<byte> far, Span<ushort> sums)
    {
        for (int i = 0; i < near.Length; i++)
            sums[i] = (ushort)(3 * near[i] + far[i]);
    }

    /// <summary>Samples as the sums of no filter down.</summary>
    public static void Widen(ReadOnlySpan<byte> samples, Span<ushort> sums)
    {
        sums = sums[..samples.Length];
        int i = 0;
        if (Vector.IsHardwareAccelerated)
        {
            for (; i <= samples.Length - Vector<byte>.Count; i += Vector<byte>.Count)
            {
                Vector.Widen(new Vector<byte>(samples[i..]), out Vector<ushort> low, out Vector<ushort> high);
                low.CopyTo(sums[i..]);
                high.CopyTo(sums[(i + Vector<ushort>.Count)..]);
            }
        }

        for (; i < samples.Length; i++)
            sums[i] = samples[i];
    }

    /// <summary>The filter across: two samples from each sum and its neighbours.</summary>
    /// <param name="sums">Sums, with one more on each side, which repeats the outermost.</param>
    /// <param name="evenBias">Added before the shift for samples left of a sum's center.</param>
    /// <param name="oddBias">Added before the shift for samples right of it.</param>
    /// <param name="shift">Brings four sums back to a sample.</param>
    /// <param name="samples">Receives <c>2 · (sums.Length - 2)</c> samples.</param>
    public static void Spread(ReadOnlySpan<ushort> sums, int evenBias, int oddBias, int shift, Span<byte> samples)
    {
        int count = sums.Length - 2;
        samples = samples[..(2 * count)];
        int i = 0;
        if (Vector.IsHardwareAccelerated && BitConverter.IsLittleEndian)
        {
            var evenBiases = new Vector<ushort>((ushort)evenBias);
            var oddBiases = new Vector<ushort>((ushort)oddBias);
            for (; i <= count - Vector<ushort>.Count; i += Vector<ushort>.Count)
            {
                var left = new Vector<ushort>(sums[i..]);
                var sum = new Vector<ushort>(sums[(i + 1)..]);
                var right = new Vector<ushort>(sums[(i + 2)..]);
                Vector<ushort> three = sum + sum + sum;
                Vector<ushort> even = Vector.ShiftRightLogical(three + left + evenBiases, shift);
                Vector<ushort> odd = Vector.ShiftRightLogical(three + right + oddBiases, shift);
                Vector.AsVectorByte(even | Vector.ShiftLeft(odd, 8)).CopyTo(samples[(2 * i)..]);
            }
        }

        SpreadScalar(sums[i..], evenBias, oddBias, shift, samples[(2 * i)..]);
    }

    /// <summary><see cref="Spread"/>, one sum at a time.</summary>
    public static void SpreadScalar(ReadOnlySpan<ushort> sums, int evenBias, int oddBias, int shift, Span<byte> samples)
    {
        for (int i = 0; i < sums.Length - 2; i++)
        {
            int three = 3 * sums[i + 1];
            samples[2 * i] = (byte)((three + sums[i] + evenBias) >> shift);
            samples[2 * i + 1] = (byte)((three + sums[i + 2] + oddBias) >> shift);
        }
    }

    /// <summary>Divides the sums of <see cref="Blend"/> by 4.</summary>
    public static void Narrow(ReadOnlySpan<ushort> sums, int bias, Span<byte> samples)
    {
        samples = samples[..sums.Length];
        int i = 0;
        if (Vector.IsHardwareAccelerated)
        {
            var biases = new Vector<ushort>((ushort)bias);
            for (; i <= sums.Length - Vector<byte>.Count; i += Vector<byte>.Count)
            {
                Vector<ushort> low = Vector.ShiftRightLogical(new Vector<ushort>(sums[i..]) + biases, 2);
                Vector<ushort> high = Vector.ShiftRightLogical(new Vector<ushort>(sums[(i + Vector<ushort>.Count)..]) + biases, 2);
                Vector.Narrow(low, high).CopyTo(samples[i..]);
            }
        }

        for (; i < sums.Length; i++)
            samples[i] = (byte)((sums[i] + bias) >> 2);
    }

    /// <summary>Repeats samples: the one at <c>x · factor / most</c> for each position.</summary>
    public static void Repeat(ReadOnlySpan<byte> row, int factor, int most, Span<byte> samples)
    {
        if (most % factor == 0)
        {
            int times = most / factor;
            for (int x = 0, i = 0; x < samples.Length; x += times, i++)
                samples.Slice(x, Math.Min(times, samples.Length - x)).Fill(row[i]);
        }
        else
        {
            for (int x = 0; x < samples.Length; x++)
                samples[x] = row[x * factor / most];
        }
    }
}
