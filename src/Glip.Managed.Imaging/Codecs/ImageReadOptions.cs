namespace Glip.Managed.Imaging.Codecs;

/// <summary>What a picture may cost to read, and whether damaged ones are read at all. Every limit is checked before the memory is allocated.</summary>
public sealed class ImageReadOptions
{
    internal static readonly ImageReadOptions Default = new();

    private readonly long _maxPixels = 100_000_000;
    private readonly long _maxFileBytes = 1L << 30;
    private readonly long _maxMemoryBytes = 1L << 30;
    private readonly int _maxScans = 100;

    /// <summary>Most pixels of a picture. 100 million by default, which are 300 MB of RGB.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1.</exception>
    public long MaxPixels
    {
        get => _maxPixels;
        init => _maxPixels = AtLeastOne(value, nameof(MaxPixels));
    }

    /// <summary>Most bytes of a file; a longer one is refused before it is read. 1 GiB by default.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1.</exception>
    public long MaxFileBytes
    {
        get => _maxFileBytes;
        init => _maxFileBytes = AtLeastOne(value, nameof(MaxFileBytes));
    }

    /// <summary>
    /// Most bytes that decoding may take beside the file itself: pixels, stored coefficients of a progressive JPEG, copies
    /// and row buffers. 1 GiB by default; tables of fixed size (under 1 MiB) are not counted.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1.</exception>
    public long MaxMemoryBytes
    {
        get => _maxMemoryBytes;
        init => _maxMemoryBytes = AtLeastOne(value, nameof(MaxMemoryBytes));
    }

    /// <summary>Most scans of a JPEG; each costs a pass over the whole picture. 100 by default; encoders write up to about 20.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1.</exception>
    public int MaxScans
    {
        get => _maxScans;
        init => _maxScans = (int)AtLeastOne(value, nameof(MaxScans));
    }

    /// <summary>
    /// Whether a JPEG that ends too early, or whose coded data is damaged, gives the part that is there, mid-gray where
    /// nothing is known, instead of an error. False by default; other formats are always read completely or not at all.
    /// </summary>
    public bool AllowTruncated { get; init; }

    private static long AtLeastOne(long value, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 1, name);
        return value;
    }
}
