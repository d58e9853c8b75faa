using System.IO.Compression;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>PNG: all color types, bit depths and both interlace methods, reduced to 8-bit RGB.</summary>
/// <remarks>
/// As Pillow's <c>convert("RGB")</c>: alpha and transparent colors are dropped without blending, 16-bit samples keep
/// their upper byte. That goes for 16-bit gray too, where Pillow clips at 255 and so turns nearly everything white. Gamma and
/// color profiles are ignored.
/// </remarks>
internal sealed class PngDecoder : IImageDecoder
{
    // Deflate cannot compress better than this, so a short file that claims a huge picture is caught before allocating.
    private const int MaxDeflateRatio = 1032;

    // Adam7: first column and row of each pass, and the distances between its pixels.
    private static readonly (int X, int Y, int StepX, int StepY)[] _interlacedPasses =
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

    private static readonly (int X, int Y, int StepX, int StepY)[] _singlePass = [(0, 0, 1, 1)];

    public ImageFormat? Recognize(ReadOnlySpan<byte> file) => file.StartsWith(PngFile.Signature) ? ImageFormat.Png : null;

    public DecodedImage Decode(ReadOnlySpan<byte> file, DecodeContext context)
    {
        PngFile png = PngFile.Parse(file, context);
        PngHeader header = png.Header;
        context.ReservePixels(header.Width, header.Height);
        long inflatedLength = Passes(header).Sum(pass => PassLength(header, pass));
        if (inflatedLength / MaxDeflateRatio > png.DataLength)
            throw context.Truncated($"{png.DataLength} bytes cannot hold a {header.Width}x{header.Height} picture");

        context.Reserve(png.DataLength, "compressed data");
        context.Reserve(3 * header.RowBytes(header.Width), "rows");
        var pixels = new byte[header.Width * header.Height * 3];
        var compressed = new byte[png.DataLength];
        int copied = 0;
        foreach (Range piece in png.Data)
        {
            file[piece].CopyTo(compressed.AsSpan(copied));
            copied += file[piece].Length;
        }

        using var inflated = new ZLibStream(new MemoryStream(compressed, writable: false), CompressionMode.Decompress);
        try
        {
            foreach ((int x, int y, int stepX, int stepY) in Passes(header))
                DecodePass(inflated, png, context, x, y, stepX, stepY, pixels);

            // Reading on makes the stream check its own checksum. More data than the picture needs is harmless.
            _ = inflated.ReadByte();
        }
        catch (InvalidDataException e)
        {
            throw context.Corrupt(e.Message, e);
        }
        catch (EndOfStreamException e)
        {
            throw context.Truncated("the compressed data ends before the picture does", e);
        }

        return new DecodedImage(header.Width, header.Height, pixels) { Format = ImageFormat.Png };
    }

    private static void DecodePass(Stream inflated, PngFile png, DecodeContext context, int firstX, int firstY, int stepX, int stepY, byte[] pixels)
    {
        PngHeader header = png.Header;
        int width = Count(header.Width, firstX, stepX);
        if (width == 0)
            return;
        int rowBytes = checked((int)header.RowBytes(width));
        var row = new byte[1 + rowBytes]; // the filter type comes first
        var above = new byte[1 + rowBytes];
        byte[] passRow = stepX == 1 ? [] : new byte[width * 3];
        for (int y = firstY; y < header.Height; y += stepY)
        {
            inflated.ReadExactly(row);
            if (row[0] > (byte)PngFilterType.Paeth)
                throw context.Corrupt($"filter type {row[0]} in row {y}, expected 0 to 4");
            PngFilter.Undo((PngFilterType)row[0], row.AsSpan(1), above.AsSpan(1), header.FilterDistance);

            Span<byte> target = pixels.AsSpan(y * header.Width * 3, header.Width * 3);
            if (stepX == 1)
            {
                ToRgb(row.AsSpan(1), png, context, target);
            }
            else
            {
                ToRgb(row.AsSpan(1), png, context, passRow);
                for (int i = 0, o = firstX * 3; i < passRow.Length; i += 3, o += stepX * 3)
                    passRow.AsSpan(i, 3).CopyTo(target[o..]);
            }

            (row, above) = (above, row);
        }
    }

    private static void ToRgb(ReadOnlySpan<byte> row, PngFile png, DecodeContext context, Span<byte> rgb)
    {
        PngHeader header = png.Header;
        int sampleBytes = header.BitDepth / 8; // 0 for packed samples
        int step = header.Samples * sampleBytes;
        switch (header.Color)
        {
            case PngColor.Rgb when header.BitDepth == 8:
                row.CopyTo(rgb);
                break;
            case PngColor.Rgb or PngColor.Rgba:
                for (int i = 0, o = 0; o < rgb.Length; i += step, o += 3)
                {
                    rgb[o] = row[i];
                    rgb[o + 1] = row[i + sampleBytes];
                    rgb[o + 2] = row[i + 2 * sampleBytes];
                }

                break;
            case PngColor.Palette:
                PaletteToRgb(row, header.BitDepth, png.Palette, context, rgb);
                break;
            case PngColor.Gray when header.BitDepth < 8:
                int brightest = (1 << header.BitDepth) - 1;
                for (int x = 0, o = 0; o < rgb.Length; x++, o += 3)
                    rgb.Slice(o, 3).Fill((byte)(PackedSample(row, x, header.BitDepth) * 255 / brightest));
                break;
            default:
                for (int i = 0, o = 0; o < rgb.Length; i += step, o += 3)
                    rgb.Slice(o, 3).Fill(row[i]);
                break;
        }
    }

    private static void PaletteToRgb(ReadOnlySpan<byte> row, int bitDepth, ReadOnlySpan<byte> palette, DecodeContext context, Span<byte> rgb)
    {
        for (int x = 0, o = 0; o < rgb.Length; x++, o += 3)
        {
            int index = bitDepth == 8 ? row[x] : PackedSample(row, x, bitDepth);
            if (index * 3 >= palette.Length)
                throw context.Corrupt($"a pixel has palette entry {index}, the palette has {palette.Length / 3}");
            palette.Slice(index * 3, 3).CopyTo(rgb[o..]);
        }
    }

    /// <summary>Sample <paramref name="x"/> of a row with several samples in a byte, the leftmost in the highest bits.</summary>
    private static int PackedSample(ReadOnlySpan<byte> row, int x, int bitDepth)
    {
        int bit = x * bitDepth;
        return (row[bit >> 3] >> (8 - bitDepth - (bit & 7))) & ((1 << bitDepth) - 1);
    }

    /// <summary>Bytes of one pass, filter types included.</summary>
    private static long PassLength(PngHeader header, (int X, int Y, int StepX, int StepY) pass)
    {
        int width = Count(header.Width, pass.X, pass.StepX);
        return width == 0 ? 0 : Count(header.Height, pass.Y, pass.StepY) * (1 + header.RowBytes(width));
    }

    private static (int X, int Y, int StepX, int StepY)[] Passes(PngHeader header) => header.Interlaced ? _interlacedPasses : _singlePass;

    /// <summary>How many of <paramref name="size"/> positions a pass visits.</summary>
    private static int Count(int size, int first, int step) => size <= first ? 0 : (int)(((long)size - first + step - 1) / step);
}
