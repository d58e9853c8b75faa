namespace Glip.Managed.Imaging.Codecs;

/// <summary>The file formats that <see cref="ImageFile"/> reads.</summary>
public enum ImageFormat
{
    /// <summary>Portable Network Graphics.</summary>
    Png,

    /// <summary>Baseline, extended sequential or progressive JPEG with Huffman coding and 8-bit samples.</summary>
    Jpeg,

    /// <summary>Windows or OS/2 bitmap.</summary>
    Bmp,

    /// <summary>Portable bitmap: black and white, P1 or P4.</summary>
    Pbm,

    /// <summary>Portable graymap: P2 or P5.</summary>
    Pgm,

    /// <summary>Portable pixmap: P3 or P6.</summary>
    Ppm,

    /// <summary>GIF, of which the first frame is read.</summary>
    Gif,
}
