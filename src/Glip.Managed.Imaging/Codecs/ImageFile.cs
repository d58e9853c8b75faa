namespace Glip.Managed.Imaging.Codecs;

/// <summary>Reads picture files, whose format is found by content and not by name, and writes PNG.</summary>
public static class ImageFile
{
    /// <summary>Default limit on the pixels of a picture: 300 MB in memory.</summary>
    public const long DefaultMaxPixels = 100_000_000;

    private static readonly IImageDecoder[] _decoders = [new PngDecoder()];

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maxPixels">Pictures with more pixels are refused before their pixels are allocated.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read, or is a folder.</exception>
    /// <exception cref="GlipFormatException">Not a supported picture, truncated, corrupt or too large; the message names the file.</exception>
    public static DecodedImage Read(string path, long maxPixels = DefaultMaxPixels)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Read(File.ReadAllBytes(path), path, maxPixels);
    }

    /// <summary>Reads a stream to its end.</summary>
    /// <param name="stream">The file's bytes, from the current position.</param>
    /// <param name="name">What messages call the picture.</param>
    /// <param name="maxPixels">Pictures with more pixels are refused before their pixels are allocated.</param>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    /// <exception cref="GlipFormatException">Not a supported picture, truncated, corrupt or too large.</exception>
    public static DecodedImage Read(Stream stream, string name = "picture", long maxPixels = DefaultMaxPixels)
    {
        ArgumentNullException.ThrowIfNull(stream);
        using var file = new MemoryStream();
        stream.CopyTo(file);
        return Read(file.GetBuffer().AsMemory(0, (int)file.Length), name, maxPixels);
    }

    /// <summary>Reads a file that is in memory.</summary>
    /// <param name="file">The file's bytes.</param>
    /// <param name="name">What messages call the picture.</param>
    /// <param name="maxPixels">Pictures with more pixels are refused before their pixels are allocated.</param>
    /// <exception cref="GlipFormatException">Not a supported picture, truncated, corrupt or too large.</exception>
    public static DecodedImage Read(ReadOnlyMemory<byte> file, string name = "picture", long maxPixels = DefaultMaxPixels)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPixels, 1);
        foreach (IImageDecoder decoder in _decoders)
        {
            if (decoder.Recognizes(file.Span))
                return decoder.Decode(file, name, maxPixels);
        }

        throw new GlipFormatException($"{name}: {WhyUnreadable(file.Span)}");
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

    private static string WhyUnreadable(ReadOnlySpan<byte> file)
    {
        if (file.IsEmpty)
            return "expected a PNG picture, the file is empty";
        string? format = file switch
        {
            [0xFF, 0xD8, 0xFF, ..] => "JPEG",
            [(byte)'G', (byte)'I', (byte)'F', (byte)'8', ..] => "GIF",
            [(byte)'R', (byte)'I', (byte)'F', (byte)'F', _, _, _, _, (byte)'W', (byte)'E', (byte)'B', (byte)'P', ..] => "WebP",
            [(byte)'I', (byte)'I', 42, 0, ..] or [(byte)'M', (byte)'M', 0, 42, ..] => "TIFF",
            [(byte)'B', (byte)'M', ..] => "BMP",
            _ => null,
        };
        return format is null
            ? $"expected a PNG picture, the file begins with the bytes {Convert.ToHexString(file[..Math.Min(8, file.Length)])}"
            : $"{format} is not supported yet: convert to PNG";
    }
}
