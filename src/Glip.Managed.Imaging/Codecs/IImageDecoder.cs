namespace Glip.Managed.Imaging.Codecs;

/// <summary>One readable file format. A new one is a class of this kind and an entry in <see cref="ImageFile"/>'s list.</summary>
internal interface IImageDecoder
{
    /// <summary>Whether a file with these first bytes is of this format.</summary>
    bool Recognizes(ReadOnlySpan<byte> start);

    /// <summary>Decodes a whole file.</summary>
    /// <param name="file">The file's bytes.</param>
    /// <param name="name">What messages call the file.</param>
    /// <param name="maxPixels">Larger pictures are refused before their pixels are allocated.</param>
    /// <exception cref="GlipFormatException">Truncated, corrupt or too large.</exception>
    DecodedImage Decode(ReadOnlyMemory<byte> file, string name, long maxPixels);
}
