using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>What the components of a file mean.</summary>
internal enum JpegColorSpace
{
    Gray,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// <summary>Rows of components to rows of RGB: the equations of ITU-T T.871 section 7 in 16-bit fixed point, rounded once a product.</summary>
internal static class JpegColor
{
    private const int FractionBits = 16;
    private const int Half = 1 << (FractionBits - 1);

    // 1.402, 0.344136…, 0.714136… and 1.772; five decimals are what other decoders take.
    private const int RedFromCr = (int)(1.40200 * (1 << FractionBits) + 0.5);
    private const int GreenFromCb = (int)(0.34414 * (1 << FractionBits) + 0.5);
    private const int GreenFromCr = (int)(0.71414 * (1 << FractionBits) + 0.5);
    private const int BlueFromCb = (int)(1.77200 * (1 << FractionBits) + 0.5);

    /// <summary>What the components mean, by the markers and, without them, by their ids.</summary>
    public static JpegColorSpace Of(JpegHeaders headers)
    {
        JpegComponent[] components = headers.Frame!.Components;
        switch (components.Length)
        {
            case 1:
                return JpegColorSpace.Gray;
            case 3 when headers.IsJfif:
                return JpegColorSpace.YCbCr;
            case 3 when headers.AdobeTransform is { } transform:
                return transform == 0 ? JpegColorSpace.Rgb : JpegColorSpace.YCbCr;
            case 3:
                return (components[0].Id, components[1].Id, components[2].Id) == ('R', 'G', 'B') ? JpegColorSpace.Rgb : JpegColorSpace.YCbCr;
            default:
                return headers.AdobeTransform is null or 0 ? JpegColorSpace.Cmyk : JpegColorSpace.Ycck;
        }
    }

    /// <summary>Converts one row; <paramref name="rgb"/> has three bytes for each sample of a component.</summary>
    public static void ToRgb(
        JpegColorSpace space, ReadOnlySpan<byte> c0, ReadOnlySpan<byte> c1, ReadOnlySpan<byte> c2, ReadOnlySpan<byte> c3, Span<byte> rgb)
    {
        switch (space)
        {
            case JpegColorSpace.Gray:
                for (int x = 0, o = 0; x < c0.Length; x++, o += 3)
                    rgb.Slice(o, 3).Fill(c0[x]);
                break;
            case JpegColorSpace.Rgb:
                Interleave(c0, c1, c2, rgb);
                break;
            case JpegColorSpace.YCbCr:
                YCbCrToRgb(c0, c1, c2, rgb);
                break;
            case JpegColorSpace.Cmyk:
                Interleave(c0, c1, c2, rgb);
                InkToRgb(c3, rgb);
                break;
            case JpegColorSpace.Ycck:
                YCbCrToRgb(c0, c1, c2, rgb);
                for (int i = 0; i < rgb.Length; i++)
                    rgb[i] = (byte)~rgb[i];
                InkToRgb(c3, rgb);
                break;
        }
    }

    /// <summary>A row of YCbCr to RGB.</summary>
    public static void YCbCrToRgb(ReadOnlySpan<byte> luma, ReadOnlySpan<byte> cb, ReadOnlySpan<byte> cr, Span<byte> rgb)
    {
        cb = cb[..luma.Length];
        cr = cr[..luma.Length];
        rgb = rgb[..(3 * luma.Length)];
        int x = 0;
        if (Vector128.IsHardwareAccelerated && BitConverter.IsLittleEndian)
        {
            ref byte y0 = ref MemoryMarshal.GetReference(luma);
            ref byte cb0 = ref MemoryMarshal.GetReference(cb);
            ref byte cr0 = ref MemoryMarshal.GetReference(cr);
            ref byte rgb0 = ref MemoryMarshal.GetReference(rgb);

            // The last of four stores of 12 used bytes writes 16, so the row must go on for 2 more pixels.
            for (; x <= luma.Length - Vector128<byte>.Count - 2; x += Vector128<byte>.Count)
            {
                (Vector128<short> yLow, Vector128<short> yHigh) = Widen(ref y0, x);
                (Vector128<short> cbLow, Vector128<short> cbHigh) = Widen(ref cb0, x);
                (Vector128<short> crLow, Vector128<short> crHigh) = Widen(ref cr0, x);
                var center = Vector128.Create((short)128);
                cbLow -= center;
                cbHigh -= center;
                crLow -= center;
                crHigh -= center;
                nuint o = (nuint)(3 * x);
                FourPixels(Vector128.WidenLower(yLow), Vector128.WidenLower(cbLow), Vector128.WidenLower(crLow)).StoreUnsafe(ref rgb0, o);
                FourPixels(Vector128.WidenUpper(yLow), Vector128.WidenUpper(cbLow), Vector128.WidenUpper(crLow)).StoreUnsafe(ref rgb0, o + 12);
                FourPixels(Vector128.WidenLower(yHigh), Vector128.WidenLower(cbHigh), Vector128.WidenLower(crHigh)).StoreUnsafe(ref rgb0, o + 24);
                FourPixels(Vector128.WidenUpper(yHigh), Vector128.WidenUpper(cbHigh), Vector128.WidenUpper(crHigh)).StoreUnsafe(ref rgb0, o + 36);
            }
        }

        YCbCrToRgbScalar(luma[x..], cb[x..], cr[x..], rgb[(3 * x)..]);
    }

    /// <summary><see cref="YCbCrToRgb"/>, one pixel at a time.</summary>
    public static void YCbCrToRgbScalar(ReadOnlySpan<byte> luma, ReadOnlySpan<byte> cb, ReadOnlySpan<byte> cr, Span<byte> rgb)
    {
        for (int x = 0, o = 0; x < luma.Length; x++, o += 3)
        {
            int b = cb[x] - 128;
            int r = cr[x] - 128;
            rgb[o] = (byte)Math.Clamp(luma[x] + ((RedFromCr * r + Half) >> FractionBits), 0, 255);
            rgb[o + 1] = (byte)Math.Clamp(luma[x] + ((-GreenFromCb * b - GreenFromCr * r + Half) >> FractionBits), 0, 255);
            rgb[o + 2] = (byte)Math.Clamp(luma[x] + ((BlueFromCb * b + Half) >> FractionBits), 0, 255);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<short> Lower, Vector128<short> Upper) Widen(ref byte row, int x)
    {
        var samples = Vector128.LoadUnsafe(ref row, (nuint)x);
        return (Vector128.WidenLower(samples).AsInt16(), Vector128.WidenUpper(samples).AsInt16());
    }

    /// <summary>Twelve bytes of RGB, and four zeros behind them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> FourPixels(Vector128<int> luma, Vector128<int> cb, Vector128<int> cr)
    {
        var half = Vector128.Create(Half);
        Vector128<int> red = Clamp(luma + (cr * RedFromCr + half >> FractionBits));
        Vector128<int> green = Clamp(luma + (half - cb * GreenFromCb - cr * GreenFromCr >> FractionBits));
        Vector128<int> blue = Clamp(luma + (cb * BlueFromCb + half >> FractionBits));
        return Vector128.Shuffle(
            (red | green << 8 | blue << 16).AsByte(),
            Vector128.Create((byte)0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0xFF, 0xFF, 0xFF, 0xFF));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Clamp(Vector128<int> value) => Vector128.Min(Vector128.Max(value, Vector128<int>.Zero), Vector128.Create(255));

    private static void Interleave(ReadOnlySpan<byte> c0, ReadOnlySpan<byte> c1, ReadOnlySpan<byte> c2, Span<byte> rgb)
    {
        c1 = c1[..c0.Length];
        c2 = c2[..c0.Length];
        for (int x = 0, o = 0; x < c0.Length; x++, o += 3)
        {
            rgb[o] = c0[x];
            rgb[o + 1] = c1[x];
            rgb[o + 2] = c2[x];
        }
    }

    /// <summary>
    /// Stored CMYK to RGB, in place. Files store inks inverted, 255 for none, whatever their markers say; what black leaves is
    /// then reduced by each ink.
    /// </summary>
    private static void InkToRgb(ReadOnlySpan<byte> black, Span<byte> inks)
    {
        for (int x = 0, o = 0; x < black.Length; x++, o += 3)
        {
            int light = black[x];
            for (int i = o; i < o + 3; i++)
            {
                // The product divided by 255 and rounded.
                int product = (255 - inks[i]) * light + 128;
                inks[i] = (byte)Math.Max(0, light - ((product >> 8) + product >> 8));
            }
        }
    }
}
