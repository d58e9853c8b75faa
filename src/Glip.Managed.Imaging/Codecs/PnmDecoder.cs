using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>PBM, PGM and PPM, written in digits (P1 to P3) or in bytes (P4 to P6), with up to 65535 levels.</summary>
/// <remarks>
/// Levels are scaled to 255 and rounded to even, as Pillow does. That goes for PGM of more than 255 levels too, which
/// Pillow's <c>convert("RGB")</c> clips at 255 and so turns nearly white.
/// </remarks>
internal sealed class PnmDecoder : IImageDecoder
{
    private const int MaxTokenBytes = 10;

    public ImageFormat? Recognize(ReadOnlySpan<byte> file)
    {
        if (file.Length < 3 || file[0] != 'P' || !IsSpace(file[2]))
            return null;
        return file[1] switch
        {
            (byte)'1' or (byte)'4' => ImageFormat.Pbm,
            (byte)'2' or (byte)'5' => ImageFormat.Pgm,
            (byte)'3' or (byte)'6' => ImageFormat.Ppm,
            _ => null,
        };
    }

    public DecodedImage Decode(ReadOnlySpan<byte> file, DecodeContext context)
    {
        bool binary = file[1] >= '4';
        bool bitmap = context.Format == ImageFormat.Pbm;
        int channels = context.Format == ImageFormat.Ppm ? 3 : 1;
        int position = 2;
        int width = Number(file, ref position, "width", context);
        int height = Number(file, ref position, "height", context);
        int largest = bitmap ? 1 : Number(file, ref position, "largest value", context);
        if (largest is 0 or > ushort.MaxValue)
            throw context.Corrupt($"a largest value of {largest}, expected 1 to {ushort.MaxValue}");
        context.ReservePixels(width, height);

        // The shortest that the data can be; digits take at least one byte a value, and one between two values.
        ReadOnlySpan<byte> data = file[Math.Min(file.Length, binary ? position : position - 1)..];
        long values = (long)width * height * channels;
        long rowBytes = bitmap ? (width + 7L) / 8 : (long)width * channels * (largest > byte.MaxValue ? 2 : 1);
        long needed = binary ? rowBytes * height : bitmap ? values : 2 * values - 1;
        if (data.Length < needed)
            throw context.Truncated($"a {width}x{height} picture needs at least {needed} bytes, the file has {data.Length}");

        var pixels = new byte[width * height * 3];
        if (bitmap && binary)
            FromBits(data, width, (int)rowBytes, pixels);
        else if (bitmap)
            FromBitDigits(data, pixels, context);
        else if (binary)
            FromBytes(data, largest, channels, pixels);
        else
            FromDigits(data, largest, channels, pixels, context);
        return new DecodedImage(width, height, pixels) { Format = context.Format };
    }

    private static void FromBits(ReadOnlySpan<byte> data, int width, int rowBytes, Span<byte> pixels)
    {
        for (; !pixels.IsEmpty; pixels = pixels[(3 * width)..], data = data[rowBytes..])
        {
            for (int x = 0; x < width; x++)
                pixels.Slice(3 * x, 3).Fill(Shade(data[x >> 3] << (x & 7) & 0x80));
        }
    }

    private static void FromBitDigits(ReadOnlySpan<byte> data, Span<byte> pixels, DecodeContext context)
    {
        int position = 0;
        for (; !pixels.IsEmpty; pixels = pixels[3..])
        {
            SkipSpace(data, ref position);
            if (position == data.Length)
                throw context.Truncated("the file ends before its last pixel");
            byte digit = data[position++];
            if (digit is not ((byte)'0' or (byte)'1'))
                throw context.Corrupt($"a byte {digit:X2} where 0 or 1 is expected");
            pixels[..3].Fill(Shade(digit - '0'));
        }
    }

    private static void FromBytes(ReadOnlySpan<byte> data, int largest, int channels, Span<byte> pixels)
    {
        byte[] levels = Levels(largest);
        bool wide = largest > byte.MaxValue;
        for (int i = 0, o = 0; o < pixels.Length; i++, o += 3 / channels)
        {
            int value = wide ? BinaryPrimitives.ReadUInt16BigEndian(data[(2 * i)..]) : data[i];
            pixels.Slice(o, 3 / channels).Fill(levels[Math.Min(value, largest)]);
        }
    }

    private static void FromDigits(ReadOnlySpan<byte> data, int largest, int channels, Span<byte> pixels, DecodeContext context)
    {
        byte[] levels = Levels(largest);
        int position = 0;
        for (int o = 0; o < pixels.Length; o += 3 / channels)
        {
            int value = Number(data, ref position, "value", context);
            if (value > largest)
                throw context.Corrupt($"a value of {value}, the largest is {largest}");
            pixels.Slice(o, 3 / channels).Fill(levels[value]);
        }
    }

    /// <summary>A number in digits; leaves the position behind the one space that ends it.</summary>
    private static int Number(ReadOnlySpan<byte> data, ref int position, string what, DecodeContext context)
    {
        SkipSpace(data, ref position);
        int start = position;
        long value = 0;
        for (; position < data.Length && !IsSpace(data[position]); position++)
        {
            byte digit = data[position];
            if (digit is < (byte)'0' or > (byte)'9')
                throw context.Corrupt($"a byte {digit:X2} within the {what}, expected digits");
            if (position - start == MaxTokenBytes)
                throw context.Corrupt($"a {what} of more than {MaxTokenBytes} digits");
            value = value * 10 + digit - '0';
        }

        if (position == start)
            throw context.Truncated($"the file ends where the {what} is expected");
        if (value > int.MaxValue)
            throw context.Corrupt($"a {what} of {value}");
        position++;
        return (int)value;
    }

    /// <summary>Passes over spaces, and comments from # to the end of the line.</summary>
    private static void SkipSpace(ReadOnlySpan<byte> data, ref int position)
    {
        for (; position < data.Length; position++)
        {
            if (data[position] == '#')
            {
                int end = data[position..].IndexOfAny((byte)'\n', (byte)'\r');
                position = end < 0 ? data.Length - 1 : position + end;
            }
            else if (!IsSpace(data[position]))
            {
                return;
            }
        }
    }

    /// <summary>A set bit is black.</summary>
    private static byte Shade(int bit) => bit != 0 ? (byte)0 : (byte)255;

    private static byte[] Levels(int largest)
    {
        var levels = new byte[largest + 1];
        for (int i = 0; i < levels.Length; i++)
            levels[i] = (byte)Math.Round((double)i / largest * 255);
        return levels;
    }

    private static bool IsSpace(byte value) => value is (byte)' ' or >= (byte)'\t' and <= (byte)'\r';
}
