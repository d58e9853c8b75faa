using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>
/// The inverse cosine transform of 8×8 blocks in integers: the factorization of Loeffler, Ligtenberg and Moschytz (1989)
/// with 13-bit constants, columns first, 2 extra bits between the passes. These choices fix every rounding, and so give the
/// same samples as other decoders that made them.
/// </summary>
internal static class JpegIdct
{
    private const int ConstantBits = 13;
    private const int ExtraBits = 2;
    private const int ColumnShift = ConstantBits - ExtraBits;
    private const int RowShift = ConstantBits + ExtraBits + 3; // the two passes together scale by 8
    private const int Side = JpegComponent.BlockSide;
    private const int Center = 128; // samples are coded around 0

    // Sums and differences of √2·cos(kπ/16), times 2 to the power ConstantBits.
    private const int C0_298631336 = 2446;
    private const int C0_390180644 = 3196;
    private const int C0_541196100 = 4433;
    private const int C0_765366865 = 6270;
    private const int C0_899976223 = 7373;
    private const int C1_175875602 = 9633;
    private const int C1_501321110 = 12299;
    private const int C1_847759065 = 15137;
    private const int C1_961570560 = 16069;
    private const int C2_053119869 = 16819;
    private const int C2_562915447 = 20995;
    private const int C3_072711026 = 25172;

    /// <summary>Turns one block of coefficients into samples.</summary>
    /// <param name="block">64 coefficients, row-major.</param>
    /// <param name="quantization">64 steps, row-major.</param>
    /// <param name="last">The last coefficient in coding order that may be other than 0.</param>
    /// <param name="samples">Receives 8 rows of 8 samples.</param>
    /// <param name="stride">Bytes from one row of samples to the next.</param>
    /// <param name="workspace">64 values, overwritten.</param>
    public static void Transform(ReadOnlySpan<short> block, ReadOnlySpan<int> quantization, int last, Span<byte> samples, int stride, Span<int> workspace)
    {
        if (last == 0)
            Flat(block[0] * quantization[0], samples, stride);
        else if (Vector128.IsHardwareAccelerated)
            Vectors(block, quantization, samples, stride, workspace);
        else
            Scalar(block, quantization, samples, stride, workspace);
    }

    /// <summary>A block of nothing but its mean, which both passes leave as it is.</summary>
    public static void Flat(int mean, Span<byte> samples, int stride)
    {
        const int shift = ExtraBits + 3;
        byte sample = (byte)Math.Clamp(((mean << ExtraBits) + (1 << (shift - 1)) >> shift) + Center, 0, 255);
        for (int y = 0; y < Side; y++)
            samples.Slice(y * stride, Side).Fill(sample);
    }

    /// <summary>The transform in plain loops.</summary>
    public static void Scalar(ReadOnlySpan<short> block, ReadOnlySpan<int> quantization, Span<byte> samples, int stride, Span<int> workspace)
    {
        block = block[..JpegTables.BlockSize];
        quantization = quantization[..JpegTables.BlockSize];
        workspace = workspace[..JpegTables.BlockSize];
        for (int i = 0; i < workspace.Length; i++)
            workspace[i] = block[i] * quantization[i];
        for (int x = 0; x < Side; x++)
            Pass(workspace[x..], Side, ColumnShift);
        for (int y = 0; y < Side; y++)
        {
            Span<int> row = workspace.Slice(y * Side, Side);
            Pass(row, 1, RowShift);
            Span<byte> target = samples.Slice(y * stride, Side);
            for (int x = 0; x < Side; x++)
                target[x] = (byte)Math.Clamp(row[x] + Center, 0, 255);
        }
    }

    /// <summary>The transform with four columns, then four rows, in each vector.</summary>
    public static void Vectors(ReadOnlySpan<short> block, ReadOnlySpan<int> quantization, Span<byte> samples, int stride, Span<int> workspace)
    {
        ref short coefficient = ref MemoryMarshal.GetReference(block[..JpegTables.BlockSize]);
        ref int step = ref MemoryMarshal.GetReference(quantization[..JpegTables.BlockSize]);
        ref int between = ref MemoryMarshal.GetReference(workspace[..JpegTables.BlockSize]);
        for (nuint half = 0; half < Side; half += 4)
        {
            Vector128<int> v0 = Dequantized(ref coefficient, ref step, half);
            Vector128<int> v1 = Dequantized(ref coefficient, ref step, half + Side);
            Vector128<int> v2 = Dequantized(ref coefficient, ref step, half + 2 * Side);
            Vector128<int> v3 = Dequantized(ref coefficient, ref step, half + 3 * Side);
            Vector128<int> v4 = Dequantized(ref coefficient, ref step, half + 4 * Side);
            Vector128<int> v5 = Dequantized(ref coefficient, ref step, half + 5 * Side);
            Vector128<int> v6 = Dequantized(ref coefficient, ref step, half + 6 * Side);
            Vector128<int> v7 = Dequantized(ref coefficient, ref step, half + 7 * Side);
            Pass(ref v0, ref v1, ref v2, ref v3, ref v4, ref v5, ref v6, ref v7, ColumnShift);
            v0.StoreUnsafe(ref between, half);
            v1.StoreUnsafe(ref between, half + Side);
            v2.StoreUnsafe(ref between, half + 2 * Side);
            v3.StoreUnsafe(ref between, half + 3 * Side);
            v4.StoreUnsafe(ref between, half + 4 * Side);
            v5.StoreUnsafe(ref between, half + 5 * Side);
            v6.StoreUnsafe(ref between, half + 6 * Side);
            v7.StoreUnsafe(ref between, half + 7 * Side);
        }

        for (int y = 0; y < Side; y += 4)
        {
            nuint first = (nuint)(y * Side);
            Vector128<int> v0 = Vector128.LoadUnsafe(ref between, first);
            Vector128<int> v4 = Vector128.LoadUnsafe(ref between, first + 4);
            Vector128<int> v1 = Vector128.LoadUnsafe(ref between, first + Side);
            Vector128<int> v5 = Vector128.LoadUnsafe(ref between, first + Side + 4);
            Vector128<int> v2 = Vector128.LoadUnsafe(ref between, first + 2 * Side);
            Vector128<int> v6 = Vector128.LoadUnsafe(ref between, first + 2 * Side + 4);
            Vector128<int> v3 = Vector128.LoadUnsafe(ref between, first + 3 * Side);
            Vector128<int> v7 = Vector128.LoadUnsafe(ref between, first + 3 * Side + 4);
            Transpose(ref v0, ref v1, ref v2, ref v3);
            Transpose(ref v4, ref v5, ref v6, ref v7);
            Pass(ref v0, ref v1, ref v2, ref v3, ref v4, ref v5, ref v6, ref v7, RowShift);

            // Each vector holds one column of four rows; as the bytes of 64-bit lanes they are rows again.
            Vector128<uint> left = Bytes(v0, v1, v2, v3);
            Vector128<uint> right = Bytes(v4, v5, v6, v7);
            Vector128<ulong> upper = Vector128.WidenLower(left) | Vector128.WidenLower(right) << 32;
            Vector128<ulong> lower = Vector128.WidenUpper(left) | Vector128.WidenUpper(right) << 32;
            BinaryPrimitives.WriteUInt64LittleEndian(samples[(y * stride)..], upper.GetElement(0));
            BinaryPrimitives.WriteUInt64LittleEndian(samples[((y + 1) * stride)..], upper.GetElement(1));
            BinaryPrimitives.WriteUInt64LittleEndian(samples[((y + 2) * stride)..], lower.GetElement(0));
            BinaryPrimitives.WriteUInt64LittleEndian(samples[((y + 3) * stride)..], lower.GetElement(1));
        }
    }

    /// <summary>One dimension of the transform: eight values, <paramref name="stride"/> apart.</summary>
    private static void Pass(Span<int> values, int stride, int shift)
    {
        int z2 = values[2 * stride];
        int z3 = values[6 * stride];
        int z1 = (z2 + z3) * C0_541196100;
        int even2 = z1 - z3 * C1_847759065;
        int even3 = z1 + z2 * C0_765366865;
        int even0 = (values[0] + values[4 * stride]) << ConstantBits;
        int even1 = (values[0] - values[4 * stride]) << ConstantBits;
        int rounding = 1 << (shift - 1);
        int a0 = even0 + even3 + rounding;
        int a3 = even0 - even3 + rounding;
        int a1 = even1 + even2 + rounding;
        int a2 = even1 - even2 + rounding;

        int b0 = values[7 * stride];
        int b1 = values[5 * stride];
        int b2 = values[3 * stride];
        int b3 = values[stride];
        z1 = (b0 + b3) * -C0_899976223;
        z2 = (b1 + b2) * -C2_562915447;
        z3 = b0 + b2;
        int z4 = b1 + b3;
        int z5 = (z3 + z4) * C1_175875602;
        z3 = z3 * -C1_961570560 + z5;
        z4 = z4 * -C0_390180644 + z5;
        b0 = b0 * C0_298631336 + z1 + z3;
        b1 = b1 * C2_053119869 + z2 + z4;
        b2 = b2 * C3_072711026 + z2 + z3;
        b3 = b3 * C1_501321110 + z1 + z4;

        values[0] = (a0 + b3) >> shift;
        values[7 * stride] = (a0 - b3) >> shift;
        values[stride] = (a1 + b2) >> shift;
        values[6 * stride] = (a1 - b2) >> shift;
        values[2 * stride] = (a2 + b1) >> shift;
        values[5 * stride] = (a2 - b1) >> shift;
        values[3 * stride] = (a3 + b0) >> shift;
        values[4 * stride] = (a3 - b0) >> shift;
    }

    /// <summary>The same as the other <see cref="Pass(Span{int}, int, int)"/>, in four lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pass(
        ref Vector128<int> v0,
        ref Vector128<int> v1,
        ref Vector128<int> v2,
        ref Vector128<int> v3,
        ref Vector128<int> v4,
        ref Vector128<int> v5,
        ref Vector128<int> v6,
        ref Vector128<int> v7,
        [ConstantExpected] int shift)
    {
        Vector128<int> z1 = (v2 + v6) * C0_541196100;
        Vector128<int> even2 = z1 - v6 * C1_847759065;
        Vector128<int> even3 = z1 + v2 * C0_765366865;
        Vector128<int> even0 = (v0 + v4) << ConstantBits;
        Vector128<int> even1 = (v0 - v4) << ConstantBits;
        Vector128<int> rounding = Vector128.Create(1 << (shift - 1));
        Vector128<int> a0 = even0 + even3 + rounding;
        Vector128<int> a3 = even0 - even3 + rounding;
        Vector128<int> a1 = even1 + even2 + rounding;
        Vector128<int> a2 = even1 - even2 + rounding;

        z1 = (v7 + v1) * -C0_899976223;
        Vector128<int> z2 = (v5 + v3) * -C2_562915447;
        Vector128<int> z3 = v7 + v3;
        Vector128<int> z4 = v5 + v1;
        Vector128<int> z5 = (z3 + z4) * C1_175875602;
        z3 = z3 * -C1_961570560 + z5;
        z4 = z4 * -C0_390180644 + z5;
        Vector128<int> b0 = v7 * C0_298631336 + z1 + z3;
        Vector128<int> b1 = v5 * C2_053119869 + z2 + z4;
        Vector128<int> b2 = v3 * C3_072711026 + z2 + z3;
        Vector128<int> b3 = v1 * C1_501321110 + z1 + z4;

        v0 = (a0 + b3) >> shift;
        v7 = (a0 - b3) >> shift;
        v1 = (a1 + b2) >> shift;
        v6 = (a1 - b2) >> shift;
        v2 = (a2 + b1) >> shift;
        v5 = (a2 - b1) >> shift;
        v3 = (a3 + b0) >> shift;
        v4 = (a3 - b0) >> shift;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Dequantized(ref short block, ref int quantization, nuint at)
    {
        ulong four = Unsafe.ReadUnaligned<ulong>(ref Unsafe.As<short, byte>(ref Unsafe.Add(ref block, at)));
        return Vector128.WidenLower(Vector128.CreateScalarUnsafe(four).AsInt16()) * Vector128.LoadUnsafe(ref quantization, at);
    }

    /// <summary>Exchanges rows and columns of 4×4 values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(ref Vector128<int> v0, ref Vector128<int> v1, ref Vector128<int> v2, ref Vector128<int> v3)
    {
        Vector128<long> low01 = ZipLower(v0, v1);
        Vector128<long> low23 = ZipLower(v2, v3);
        Vector128<long> high01 = ZipUpper(v0, v1);
        Vector128<long> high23 = ZipUpper(v2, v3);
        v0 = Vector128.Create(low01.GetLower(), low23.GetLower()).AsInt32();
        v1 = Vector128.Create(low01.GetUpper(), low23.GetUpper()).AsInt32();
        v2 = Vector128.Create(high01.GetLower(), high23.GetLower()).AsInt32();
        v3 = Vector128.Create(high01.GetUpper(), high23.GetUpper()).AsInt32();
    }

    /// <summary>a0, b0, a1, b1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<long> ZipLower(Vector128<int> a, Vector128<int> b) =>
        (Vector128.WidenLower(a.AsUInt32()) | Vector128.WidenLower(b.AsUInt32()) << 32).AsInt64();

    /// <summary>a2, b2, a3, b3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<long> ZipUpper(Vector128<int> a, Vector128<int> b) =>
        (Vector128.WidenUpper(a.AsUInt32()) | Vector128.WidenUpper(b.AsUInt32()) << 32).AsInt64();

    /// <summary>In each lane the samples of four columns, the first in the lowest byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Bytes(Vector128<int> c0, Vector128<int> c1, Vector128<int> c2, Vector128<int> c3) =>
        (Sample(c0) | Sample(c1) << 8 | Sample(c2) << 16 | Sample(c3) << 24).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Sample(Vector128<int> value) =>
        Vector128.Min(Vector128.Max(value + Vector128.Create(Center), Vector128<int>.Zero), Vector128.Create(255));
}
