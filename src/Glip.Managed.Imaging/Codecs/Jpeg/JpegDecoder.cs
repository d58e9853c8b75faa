using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>JPEG with Huffman coding and 8-bit samples, sequential and progressive, of one, three or four components.</summary>
/// <remarks>
/// Pixels are those of libjpeg-turbo's default decoder, and for four components those of Pillow's <c>convert("RGB")</c>.
/// Strict unless asked otherwise: missing or undecodable data and restart markers out of order are errors; bytes between
/// segments, fill bytes, bytes behind the picture and a missing EOI marker behind complete data are not.
/// </remarks>
internal sealed class JpegDecoder : IImageDecoder
{
    private const byte NoMarker = 0;

    public ImageFormat? Recognize(ReadOnlySpan<byte> file) => file is [0xFF, JpegMarker.StartOfImage, 0xFF, ..] ? ImageFormat.Jpeg : null;

    public DecodedImage Decode(ReadOnlySpan<byte> file, DecodeContext context)
    {
        var headers = new JpegHeaders(context);
        JpegPicture? picture = null;
        int scans = 0;
        int position = 2;
        byte marker;
        while ((marker = NextMarker(file, ref position)) is not (NoMarker or JpegMarker.EndOfImage))
        {
            if (JpegMarker.StandsAlone(marker))
                continue;
            JpegScan? scan;
            try
            {
                scan = ReadSegment(marker, file, ref position, headers, context);
            }
            catch (GlipFormatException) when (context.Options.AllowTruncated && picture is not null)
            {
                break;
            }

            if (scan is null)
                continue;
            if (++scans > context.Options.MaxScans)
                throw context.Unsupported($"more than {context.Options.MaxScans} scans, the limit");
            picture ??= new JpegPicture(headers, scan, file.Length - position, context);
            position = picture.Decode(scan, file, position, headers.RestartInterval);
            if (!picture.TakesMoreScans)
                break;
        }

        if (picture is null)
            throw context.Truncated(marker == NoMarker ? "the file ends before the first scan" : "there is no scan");
        return picture.Finish(complete: marker != NoMarker);
    }

    /// <summary>The next marker's second byte, past whatever else comes before it; <see cref="NoMarker"/> at the file's end.</summary>
    private static byte NextMarker(ReadOnlySpan<byte> file, ref int position)
    {
        for (; ; )
        {
            int start = file[position..].IndexOf((byte)0xFF);
            if (start < 0)
                break;
            int code = file[(position + start)..].IndexOfAnyExcept((byte)0xFF);
            if (code < 0)
                break;
            position += start + code + 1;
            if (file[position - 1] != 0)
                return file[position - 1];
        }

        position = file.Length;
        return NoMarker;
    }

    /// <returns>The scan whose data follows, if that is what the segment says.</returns>
    private static JpegScan? ReadSegment(byte marker, ReadOnlySpan<byte> file, ref int position, JpegHeaders headers, DecodeContext context)
    {
        const int lengthBytes = 2;
        ReadOnlySpan<byte> rest = file[position..];
        if (rest.Length < lengthBytes)
            throw context.Truncated($"the file ends within segment {marker:X2}");
        int length = BinaryPrimitives.ReadUInt16BigEndian(rest);
        if (length < lengthBytes)
            throw context.Corrupt($"segment {marker:X2} says {length} bytes, expected at least {lengthBytes}");
        if (length > rest.Length)
            throw context.Truncated($"segment {marker:X2} says {length} bytes, the file has {rest.Length} more");
        ReadOnlySpan<byte> content = rest[lengthBytes..length];
        position += length;
        if (marker == JpegMarker.StartOfScan)
            return JpegScan.Parse(content, headers, context);
        headers.Read(marker, content);
        return null;
    }
}
