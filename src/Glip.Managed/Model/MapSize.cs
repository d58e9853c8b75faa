namespace Glip.Managed.Model;

/// <summary>Rows and columns of a feature map.</summary>
internal readonly record struct MapSize(int Height, int Width)
{
    /// <summary>Cells.</summary>
    public int Cells => Height * Width;

    /// <summary>The map at half the resolution, rounded up.</summary>
    public MapSize Halved => new((Height + 1) / 2, (Width + 1) / 2);
}

/// <summary>
/// The five levels P3..P7 of an image size. All levels lie in one [cells, C] buffer, P3 first, because fusion attends over all of them at once.
/// </summary>
internal sealed class Pyramid
{
    private readonly MapSize[] _sizes;
    private readonly int[] _starts;

    /// <summary>Levels of a padded image.</summary>
    /// <param name="p3">Size of P3: the image's by 8.</param>
    /// <param name="levels">Number of levels.</param>
    public Pyramid(MapSize p3, int levels)
    {
        _sizes = new MapSize[levels];
        _starts = new int[levels + 1];
        for (int level = 0; level < levels; level++)
        {
            _sizes[level] = level == 0 ? p3 : _sizes[level - 1].Halved;
            _starts[level + 1] = _starts[level] + _sizes[level].Cells;
        }
    }

    /// <summary>Number of levels.</summary>
    public int Levels => _sizes.Length;

    /// <summary>Cells of all levels: A.</summary>
    public int Cells => _starts[^1];

    /// <summary>Size of a level, 0 is P3.</summary>
    public MapSize this[int level] => _sizes[level];

    /// <summary>A level's first cell.</summary>
    public int Start(int level) => _starts[level];

    /// <summary>A level's rows of a [cells, <paramref name="channels"/>] buffer.</summary>
    public Span<float> Level(Span<float> buffer, int level, int channels) => buffer[(_starts[level] * channels)..(_starts[level + 1] * channels)];

    /// <summary>A level's rows of a [cells, <paramref name="channels"/>] buffer.</summary>
    public ReadOnlySpan<float> Level(ReadOnlySpan<float> buffer, int level, int channels) =>
        buffer[(_starts[level] * channels)..(_starts[level + 1] * channels)];

    /// <summary>The name that papers and stages use: P3 for level 0.</summary>
    public static string Name(int level) => $"P{level + 3}";
}
