using Glip.Managed.Imaging.Codecs.Jpeg;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>Reads picture files, whose format is found by content and not by name, and writes PNG, JPEG and PPM.</summary>
public static class ImageFile
{
    private static readonly IImageDecoder[] _decoders = [new JpegDecoder(), new PngDecoder(), new BmpDecoder(), new PnmDecoder(), new GifDecoder()];

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read, or is a folder.</exception>
    /// <exception cref="GlipFormatException">Not a supported picture, truncated, corrupt or too large; the message names the file.</exception>
    public static DecodedImage Read(string path, ImageReadOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using FileStream stream = File.OpenRead(path);
        return Read(stream, path, options);
    }

    /// <summary>Reads a stream to its end and leaves it open.</summary>
    /// <param name="stream">The file's bytes, from the current position.</param>
    /// <param name="name">What messages call the picture.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    /// <exception cref="GlipFormatException">Not a supported picture, truncated, corrupt or too large.</exception>
    public static DecodedImage Read(Stream stream, string name = "picture", ImageReadOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(name);
        options ??= ImageReadOptions.Default;
        long limit = Math.Min(options.MaxFileBytes, Array.MaxLength);
        long expected = stream.CanSeek ? Math.Max(0, stream.Length - stream.Position) : 0;
        if (expected > limit)
            throw new GlipFormatException($"{name}: the file has {expected} bytes, the limit is {limit}");

        var file = new byte[expected == 0 ? 64 * 1024 : expected];
        int length = 0;
        for (; ; )
        {
            length += stream.ReadAtLeast(file.AsSpan(length), file.Length - length, throwOnEndOfStream: false);
            if (length < file.Length)
                break;
            int next = stream.ReadByte();
            if (next < 0)
                break;
            if (length == limit)
                throw new GlipFormatException($"{name}: the file has more than {limit} bytes, the limit");
            Array.Resize(ref file, (int)Math.Min(limit, 2L * length));
            file[length++] = (byte)next;
        }

        return Read(file.AsSpan(0, length), name, options);
    }

    /// <summary>Reads a file that is in memory.</summary>
    /// <param name="file">The file's bytes.</param>
    /// <param name="name">What messages call the picture.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <exception cref="GlipFormatException">Not a supported picture, truncated, corrupt or too large.</exception>
    public static DecodedImage Read(ReadOnlySpan<byte> file, string name = "picture", ImageReadOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        options ??= ImageReadOptions.Default;
        if (file.Length > options.MaxFileBytes)
            throw new GlipFormatException($"{name}: the file has {file.Length} bytes, the limit is {options.MaxFileBytes}");
        foreach (IImageDecoder decoder in _decoders)
        {
            if (decoder.Recognize(file) is { } format)
                return decoder.Decode(file, new DecodeContext(name, format, options));
        }

        throw new GlipFormatException($"{name}: {WhyUnreadable(file)}");
    }

    /// <summary>Writes a PNG file, complete or not at all: an older file is replaced only when the new one is finished.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="image">The picture; alpha is not written.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public static void WritePng(string path, ImageView image)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using var output = new OutputFile(path);
        PngEncoder.Write(output.Stream, image);
        output.Commit();
    }

    /// <summary>Writes a PNG to a stream, which stays open.</summary>
    /// <param name="stream">Receives the file's bytes.</param>
    /// <param name="image">The picture; alpha is not written.</param>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    public static void WritePng(Stream stream, ImageView image)
    {
        ArgumentNullException.ThrowIfNull(stream);
        PngEncoder.Write(stream, image);
    }

    /// <summary>Writes a JPEG file, complete or not at all: an older file is replaced only when the new one is finished.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="image">The picture; alpha is not written, and <see cref="PixelFormat.Gray8"/> makes a gray file.</param>
    /// <param name="quality">1, the smallest file, to 100, the best picture.</param>
    /// <param name="chroma">How finely colors are kept.</param>
    /// <exception cref="ArgumentException">A side is longer than 65535 pixels, or <paramref name="quality"/> is out of range.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public static void WriteJpeg(string path, ImageView image, int quality = 90, JpegChroma chroma = JpegChroma.Half)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using var output = new OutputFile(path);
        WriteJpeg(output.Stream, image, quality, chroma);
        output.Commit();
    }

    /// <summary>Writes a JPEG to a stream, which stays open.</summary>
    /// <param name="stream">Receives the file's bytes.</param>
    /// <param name="image">The picture; alpha is not written, and <see cref="PixelFormat.Gray8"/> makes a gray file.</param>
    /// <param name="quality">1, the smallest file, to 100, the best picture.</param>
    /// <param name="chroma">How finely colors are kept.</param>
    /// <exception cref="ArgumentException">A side is longer than 65535 pixels, or <paramref name="quality"/> is out of range.</exception>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    public static void WriteJpeg(Stream stream, ImageView image, int quality = 90, JpegChroma chroma = JpegChroma.Half)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentOutOfRangeException.ThrowIfLessThan(quality, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(quality, 100);
        if (!Enum.IsDefined(chroma))
            throw new ArgumentOutOfRangeException(nameof(chroma), chroma, "is not a JpegChroma");
        JpegEncoder.Write(stream, image, quality, chroma);
    }

    /// <summary>Writes a binary PPM file (P6), complete or not at all: an older file is replaced only when the new one is finished.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="image">The picture; alpha is not written.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public static void WritePpm(string path, ImageView image)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using var output = new OutputFile(path);
        WritePpm(output.Stream, image);
        output.Commit();
    }

    /// <summary>Writes a binary PPM (P6) to a stream, which stays open.</summary>
    /// <param name="stream">Receives the file's bytes.</param>
    /// <param name="image">The picture; alpha is not written.</param>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    public static void WritePpm(Stream stream, ImageView image)
    {
        ArgumentNullException.ThrowIfNull(stream);
        PpmEncoder.Write(stream, image);
    }

    private static string WhyUnreadable(ReadOnlySpan<byte> file)
    {
        const string expected = "expected a PNG, JPEG, BMP, GIF, PBM, PGM or PPM picture";
        if (file.IsEmpty)
            return $"{expected}; the file is empty";
        string? format = file switch
        {
            [(byte)'R', (byte)'I', (byte)'F', (byte)'F', _, _, _, _, (byte)'W', (byte)'E', (byte)'B', (byte)'P', ..] => "WebP",
            [(byte)'I', (byte)'I', 42, 0, ..] or [(byte)'M', (byte)'M', 0, 42, ..] => "TIFF",
            [0, 0, 0, _, (byte)'f', (byte)'t', (byte)'y', (byte)'p', ..] => "HEIF or AVIF",
            _ => null,
        };
        return format is null
            ? $"{expected}; the file begins with the bytes {Convert.ToHexString(file[..Math.Min(8, file.Length)])}"
            : $"{format} is not supported: convert to PNG or JPEG";
    }
}
