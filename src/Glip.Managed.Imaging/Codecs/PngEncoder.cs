using System.Buffers.Binary;
using System.IO.Compression;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>Writes 8-bit RGB PNG: each row with the filter that leaves the smallest differences, compressed for speed.</summary>
internal static class PngEncoder
{
    private const int BytesPerPixel = 3;

    public static void Write(Stream stream, ImageView image)
    {
        stream.Write(PngFile.Signature);
        Span<byte> header = stackalloc byte[PngHeader.Length];
        BinaryPrimitives.WriteInt32BigEndian(header, image.Width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], image.Height);
        header[8] = 8;
        header[9] = (byte)PngColor.Rgb;
        header[10..].Clear(); // the only compression and filter methods there are; not interlaced
        WriteChunk(stream, "IHDR"u8, header);

        using var data = new MemoryStream();
        using (var zlib = new ZLibStream(data, CompressionLevel.Fastest, leaveOpen: true))
            WriteRows(zlib, image);
        WriteChunk(stream, "IDAT"u8, data.GetBuffer().AsSpan(0, (int)data.Length));
        WriteChunk(stream, "IEND"u8, []);
    }

    private static void WriteRows(Stream zlib, ImageView image)
    {
        int rowBytes = checked(image.Width * BytesPerPixel);
        var row = new byte[rowBytes];
        var above = new byte[rowBytes];
        var candidate = new byte[1 + rowBytes]; // the filter type comes first
        var best = new byte[1 + rowBytes];
        for (int y = 0; y < image.Height; y++)
        {
            PixelRows.ToRgb24(image.Row(y), image.Format, row);
            long bestSum = long.MaxValue;
            for (PngFilterType type = PngFilterType.None; type <= PngFilterType.Paeth; type++)
            {
                candidate[0] = (byte)type;
                long sum = PngFilter.Apply(type, row, above, BytesPerPixel, candidate.AsSpan(1));
                if (sum < bestSum)
                {
                    bestSum = sum;
                    (best, candidate) = (candidate, best);
                }
            }

            zlib.Write(best);
            (row, above) = (above, row);
        }
    }

    private static void WriteChunk(Stream stream, ReadOnlySpan<byte> type, ReadOnlySpan<byte> content)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, content.Length);
        stream.Write(number);
        stream.Write(type);
        stream.Write(content);
        var crc = new Crc32();
        crc.Add(type);
        crc.Add(content);
        BinaryPrimitives.WriteUInt32BigEndian(number, crc.Value);
        stream.Write(number);
    }
}
