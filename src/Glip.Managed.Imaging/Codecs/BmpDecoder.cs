using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>BMP of 1, 4, 8, 16, 24 and 32 bits, run-length coded or with any channel masks, from either end.</summary>
/// <remarks>As Pillow's <c>convert("RGB")</c>: alpha is dropped, channels of other than 8 bits are scaled and rounded down.</remarks>
internal sealed class BmpDecoder : IImageDecoder
{
    public ImageFormat? Recognize(ReadOnlySpan<byte> file) => file.StartsWith("BM"u8) ? ImageFormat.Bmp : null;

    public DecodedImage Decode(ReadOnlySpan<byte> file, DecodeContext context)
    {
        BmpHeader header = BmpHeader.Parse(file, context);
        context.ReservePixels(header.Width, header.Height);
        ReadOnlySpan<byte> data = header.PixelOffset < file.Length ? file[(int)header.PixelOffset..] : [];
        byte[] pixels = header.Compression is BmpCompression.RunLength8 or BmpCompression.RunLength4
            ? RunLengthPixels(data, header, context)
            : PlainPixels(data, header, context);
        return new DecodedImage(header.Width, header.Height, pixels) { Format = ImageFormat.Bmp };
    }

    private static byte[] PlainPixels(ReadOnlySpan<byte> data, BmpHeader header, DecodeContext context)
    {
        long rowBytes = ((long)header.Width * header.BitsPerPixel + 7) / 8;
        long needed = header.Stride * (header.Height - 1) + rowBytes; // the last row may lack its padding
        if (data.Length < needed)
            throw context.Truncated($"a {header.Width}x{header.Height} picture of {header.BitsPerPixel} bits needs {needed} bytes, the file has {data.Length}");
        var pixels = new byte[header.Width * header.Height * 3];
        for (int i = 0; i < header.Height; i++)
            ToRgb(data.Slice((int)(i * header.Stride), (int)rowBytes), header, TargetRow(pixels, header, i));
        return pixels;
    }

    private static void ToRgb(ReadOnlySpan<byte> row, BmpHeader header, Span<byte> rgb)
    {
        switch (header.BitsPerPixel)
        {
            case <= 8:
                int bits = header.BitsPerPixel;
                for (int x = 0, o = 0; o < rgb.Length; x++, o += 3)
                {
                    int bit = x * bits;
                    int index = (row[bit >> 3] >> (8 - bits - (bit & 7))) & ((1 << bits) - 1);
                    header.Palette.AsSpan(index * 3, 3).CopyTo(rgb[o..]);
                }

                break;
            case 16:
                for (int i = 0, o = 0; o < rgb.Length; i += 2, o += 3)
                    Pixel(BinaryPrimitives.ReadUInt16LittleEndian(row[i..]), header.Channels, rgb[o..]);
                break;
            case 24:
                for (int o = 0; o < rgb.Length; o += 3)
                    Pixel((uint)(row[o] | row[o + 1] << 8 | row[o + 2] << 16), header.Channels, rgb[o..]);
                break;
            default:
                for (int i = 0, o = 0; o < rgb.Length; i += 4, o += 3)
                    Pixel(BinaryPrimitives.ReadUInt32LittleEndian(row[i..]), header.Channels, rgb[o..]);
                break;
        }
    }

    private static void Pixel(uint value, BmpChannel[] channels, Span<byte> rgb)
    {
        rgb[0] = channels[0].Of(value);
        rgb[1] = channels[1].Of(value);
        rgb[2] = channels[2].Of(value);
    }

    /// <summary>Pairs of a count and a color, or of 0 and an instruction. What no run reaches has color 0.</summary>
    private static byte[] RunLengthPixels(ReadOnlySpan<byte> data, BmpHeader header, DecodeContext context)
    {
        int width = header.Width;
        int total = width * header.Height;
        context.Reserve(total, "indices");
        var indices = new byte[total];
        bool nibbles = header.Compression == BmpCompression.RunLength4;
        int written = 0;
        int x = 0; // may pass the end of the row, where further runs are dropped
        int position = 0;
        while (written < total)
        {
            if (data.Length - position < 2)
                throw context.Truncated($"the file ends after {written} of {total} pixels");
            int count = data[position];
            int value = data[position + 1];
            position += 2;
            if (count > 0)
            {
                count = Math.Clamp(width - x, 0, count);
                Span<byte> run = indices.AsSpan(written, Math.Min(count, total - written));
                if (!nibbles)
                    run.Fill((byte)value);
                for (int i = 0; nibbles && i < run.Length; i++)
                    run[i] = (byte)((i & 1) == 0 ? value >> 4 : value & 15);
                written += run.Length;
                x += count;
                continue;
            }

            switch (value)
            {
                case 0: // end of row
                    written += (width - written % width) % width;
                    x = 0;
                    break;
                case 1: // end of picture
                    written = total;
                    break;
                case 2: // move right and up
                    if (data.Length - position < 2)
                        throw context.Truncated($"the file ends after {written} of {total} pixels");
                    written = (int)Math.Min(total, written + data[position] + (long)data[position + 1] * width);
                    x = written % width;
                    position += 2;
                    break;
                default: // as many indices, padded to whole words
                    int bytes = nibbles ? (value + 1) / 2 : value;
                    if (data.Length - position < bytes)
                        throw context.Truncated($"the file ends after {written} of {total} pixels");
                    for (int i = 0; i < value && written < total; i++)
                    {
                        indices[written++] = nibbles
                            ? (byte)((data[position + i / 2] >> ((i & 1) == 0 ? 4 : 0)) & 15)
                            : data[position + i];
                    }

                    x += value;
                    position += bytes + (bytes & 1);
                    break;
            }
        }

        var pixels = new byte[total * 3];
        for (int i = 0; i < header.Height; i++)
        {
            Span<byte> rgb = TargetRow(pixels, header, i);
            foreach (byte index in indices.AsSpan(i * width, width))
            {
                header.Palette.AsSpan(index * 3, 3).CopyTo(rgb);
                rgb = rgb[3..];
            }
        }

        return pixels;
    }

    /// <summary>Where the file's row <paramref name="i"/> goes.</summary>
    private static Span<byte> TargetRow(byte[] pixels, BmpHeader header, int i)
    {
        int y = header.TopDown ? i : header.Height - 1 - i;
        return pixels.AsSpan(y * header.Width * 3, header.Width * 3);
    }
}
