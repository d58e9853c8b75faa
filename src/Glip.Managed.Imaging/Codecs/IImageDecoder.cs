namespace Glip.Managed.Imaging.Codecs;

/// <summary>One readable file format. A new one is a class of this kind and an entry in <see cref="ImageFile"/>'s list.</summary>
internal interface IImageDecoder
{
    /// <summary>The format of a file with these first bytes, or null if it is none of this decoder's.</summary>
    ImageFormat? Recognize(ReadOnlySpan<byte> file);

    /// <summary>Decodes a whole file that was recognized.</summary>
    /// <param name="file">The file's bytes.</param>
    /// <param name="context">Limits, and the errors to throw.</param>
    /// <exception cref="GlipFormatException">Truncated, corrupt, unsupported or over a limit.</exception>
    DecodedImage Decode(ReadOnlySpan<byte> file, DecodeContext context);
}
