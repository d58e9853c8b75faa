using System.Diagnostics;
using System.Runtime.Intrinsics;

namespace Glip.Managed.Imaging;

/// <summary>
/// Antialiased bilinear resize of 8-bit pictures that returns the same bytes as Pillow's <c>resize(..., BILINEAR)</c>, which
/// GLIP was trained and published with.
/// </summary>
/// <remarks>
/// Two passes of weighted sums in integers, columns first. The columns' result is rounded to bytes before the rows are
/// summed, and a pass that would not change the size is left out: both are part of the result. Rows that the second pass
/// still needs stand in a ring, so scratch memory is a few rows, not a picture.
/// </remarks>
public static class PillowResize
{
    // Weights are integers in units of 2^-22: 8 bits of pixel, 22 of weight and the sign fill an int exactly.
    private const int WeightBits = 22;
    private const int Half = 1 << (WeightBits - 1);

    /// <summary>Resizes <paramref name="source"/>.</summary>
    /// <param name="source">Any size and format; alpha is ignored.</param>
    /// <param name="width">Columns of the result, at least 1.</param>
    /// <param name="height">Rows of the result, at least 1.</param>
    /// <param name="bgr">Receives <c>height · width · 3</c> bytes: rows from the top without gaps, pixels blue, green, red. Must not overlap the source.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive.</exception>
    /// <exception cref="ArgumentException"><paramref name="bgr"/> is too short.</exception>
    public static void Resize(ImageView source, int width, int height, Span<byte> bgr)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        long needed = (long)width * height * 3;
        if (bgr.Length < needed)
            throw new ArgumentException($"{width}x{height} BGR needs {needed} bytes, got {bgr.Length}", nameof(bgr));
        bgr = bgr[..(int)needed];

        // One row as blue, green, red, unused: four bytes a pixel, so that a pixel is one aligned load. Only the horizontal pass needs it.
        using var pixelRow = new PooledArray<uint>(width == source.Width ? 0 : source.Width);
        using var columns = width == source.Width ? default : new AxisTaps(source.Width, width);
        if (height == source.Height)
        {
            for (int y = 0; y < height; y++)
                FillRow(source, y, columns, pixelRow.Span, bgr.Slice(y * width * 3, width * 3));
            return;
        }

        using var rows = new AxisTaps(source.Height, height);
        int rowBytes = width * 3;
        using var ring = new PooledArray<byte>(checked(rows.MaxCount * rowBytes));
        int filled = 0;
        for (int y = 0; y < height; y++)
        {
            // First taps never decrease, so a row that leaves the ring is not needed again; rows above the first tap are skipped.
            int end = rows.First(y) + rows.Count(y);
            for (filled = Math.Max(filled, rows.First(y)); filled < end; filled++)
                FillRow(source, filled, columns, pixelRow.Span, ring.Span.Slice(filled % rows.MaxCount * rowBytes, rowBytes));
            SumRows(ring.Span, rowBytes, rows.First(y), rows.MaxCount, rows.Weights(y), bgr.Slice(y * rowBytes, rowBytes));
        }
    }

    /// <summary>Row <paramref name="y"/> of the source as BGR, in the target's width.</summary>
    private static void FillRow(ImageView source, int y, in AxisTaps columns, Span<uint> pixelRow, Span<byte> bgr)
    {
        ReadOnlySpan<byte> row = source.Row(y);
        if (pixelRow.IsEmpty)
        {
            PixelRows.ToBgr24(row, source.Format, bgr);
            return;
        }

        PixelRows.ToBgr32(row, source.Format, pixelRow);
        SumColumns(pixelRow, columns, bgr);
    }

    private static void SumColumns(ReadOnlySpan<uint> pixels, in AxisTaps columns, Span<byte> bgr)
    {
        for (int x = 0, o = 0; o < bgr.Length; x++, o += 3)
        {
            ReadOnlySpan<int> weights = columns.Weights(x);
            ReadOnlySpan<uint> taps = pixels.Slice(columns.First(x), weights.Length);
            Vector128<int> sum = Vector128.Create(Half); // lanes: blue, green, red, unused
            for (int i = 0; i < weights.Length; i++)
                sum += Widen(taps[i]) * Vector128.Create(weights[i]);
            Vector128<int> value = ToByteRange(sum);
            bgr[o] = (byte)value.GetElement(0);
            bgr[o + 1] = (byte)value.GetElement(1);
            bgr[o + 2] = (byte)value.GetElement(2);
        }
    }

    /// <summary>Weighted sum of the ring's rows <paramref name="first"/>, <paramref name="first"/> + 1, …, byte by byte.</summary>
    private static void SumRows(ReadOnlySpan<byte> ring, int rowBytes, int first, int ringRows, ReadOnlySpan<int> weights, Span<byte> destination)
    {
        int x = 0;
        for (; x <= rowBytes - Vector128<byte>.Count; x += Vector128<byte>.Count)
        {
            Vector128<int> sum0 = Vector128.Create(Half), sum1 = sum0, sum2 = sum0, sum3 = sum0;
            int slot = first % ringRows;
            foreach (int weight in weights)
            {
                (Vector128<ushort> low, Vector128<ushort> high) = Vector128.Widen(Vector128.Create(ring.Slice(slot * rowBytes + x, Vector128<byte>.Count)));
                (Vector128<uint> b0, Vector128<uint> b1) = Vector128.Widen(low);
                (Vector128<uint> b2, Vector128<uint> b3) = Vector128.Widen(high);
                Vector128<int> w = Vector128.Create(weight);
                sum0 += b0.AsInt32() * w;
                sum1 += b1.AsInt32() * w;
                sum2 += b2.AsInt32() * w;
                sum3 += b3.AsInt32() * w;
                slot = slot + 1 == ringRows ? 0 : slot + 1;
            }

            // Values fit a byte here, so the narrowing drops zeros only.
            Vector128<short> lower = Vector128.Narrow(ToByteRange(sum0), ToByteRange(sum1));
            Vector128<short> upper = Vector128.Narrow(ToByteRange(sum2), ToByteRange(sum3));
            Vector128.Narrow(lower.AsUInt16(), upper.AsUInt16()).CopyTo(destination[x..]);
        }

        for (; x < rowBytes; x++)
        {
            int sum = Half;
            int slot = first % ringRows;
            foreach (int weight in weights)
            {
                sum += ring[slot * rowBytes + x] * weight;
                slot = slot + 1 == ringRows ? 0 : slot + 1;
            }

            destination[x] = (byte)Math.Clamp(sum >> WeightBits, 0, 255);
        }
    }

    private static Vector128<int> Widen(uint pixel) =>
        Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(pixel).AsByte())).AsInt32();

    private static Vector128<int> ToByteRange(Vector128<int> sum) =>
        Vector128.Clamp(sum >> WeightBits, Vector128<int>.Zero, Vector128.Create(255));

    /// <summary>For each output sample of one axis: the first input sample, how many, and their weights.</summary>
    private readonly struct AxisTaps : IDisposable
    {
        private readonly PooledArray<int> _first;
        private readonly PooledArray<int> _count;
        private readonly PooledArray<int> _weights;

        public AxisTaps(int inSize, int outSize)
        {
            // Double arithmetic in Pillow's order: the last bit of a weight decides its rounding.
            double scale = (double)inSize / outSize;
            double support = Math.Max(scale, 1);
            double inverse = 1 / support;
            MaxCount = Math.Min(inSize, (int)Math.Ceiling(support) * 2 + 1);
            _first = new(outSize);
            _count = new(outSize);
            _weights = new(checked(outSize * MaxCount));
            using var exact = new PooledArray<double>(MaxCount);
            for (int i = 0; i < outSize; i++)
            {
                double center = (i + 0.5) * scale;
                int first = Math.Max(0, (int)(center - support + 0.5));
                int count = Math.Min(inSize, (int)(center + support + 0.5)) - first;
                Debug.Assert(count > 0 && count <= MaxCount);
                double sum = 0;
                for (int x = 0; x < count; x++)
                {
                    double weight = Math.Max(0, 1 - Math.Abs((x + first - center + 0.5) * inverse));
                    exact.Span[x] = weight;
                    sum += weight;
                }

                Span<int> weights = _weights.Span.Slice(i * MaxCount, count);
                for (int x = 0; x < count; x++)
                    weights[x] = (int)(exact.Span[x] / sum * (1 << WeightBits) + 0.5);
                _first.Span[i] = first;
                _count.Span[i] = count;
            }
        }

        /// <summary>Most taps that one output can have.</summary>
        public int MaxCount { get; }

        public int First(int i) => _first.Span[i];

        public int Count(int i) => _count.Span[i];

        public ReadOnlySpan<int> Weights(int i) => _weights.Span.Slice(i * MaxCount, Count(i));

        public void Dispose()
        {
            _first.Dispose();
            _count.Dispose();
            _weights.Dispose();
        }
    }
}
