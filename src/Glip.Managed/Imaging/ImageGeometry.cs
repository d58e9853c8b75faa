namespace Glip.Managed.Imaging;

/// <summary>Sizes of one picture on its way into the model, in pixels: as given, resized, and padded.</summary>
public readonly record struct ImageGeometry
{
    /// <summary>Default limit on padded pixels: an 8192x8192 input, far above what the models are used with.</summary>
    public const long DefaultMaxPixels = 64L << 20;

    private ImageGeometry(int sourceHeight, int sourceWidth, int height, int width, int paddedHeight, int paddedWidth)
    {
        SourceHeight = sourceHeight;
        SourceWidth = sourceWidth;
        Height = height;
        Width = width;
        PaddedHeight = paddedHeight;
        PaddedWidth = paddedWidth;
    }

    /// <summary>Rows of the picture as given.</summary>
    public int SourceHeight { get; }

    /// <summary>Columns of the picture as given.</summary>
    public int SourceWidth { get; }

    /// <summary>Rows after resizing. Boxes are clipped to this size and scaled back from it.</summary>
    public int Height { get; }

    /// <summary>Columns after resizing.</summary>
    public int Width { get; }

    /// <summary>Rows of the model's input, a multiple of the padding step.</summary>
    public int PaddedHeight { get; }

    /// <summary>Columns of the model's input, a multiple of the padding step.</summary>
    public int PaddedWidth { get; }

    /// <summary>Bytes of the resized picture: <c>Height · Width · 3</c>.</summary>
    public int ResizedLength => Height * Width * ImagePreprocessor.Channels;

    /// <summary>Floats of the model's input: <c>PaddedHeight · PaddedWidth · 3</c>.</summary>
    public int InputLength => PaddedHeight * PaddedWidth * ImagePreprocessor.Channels;

    /// <summary>Works out the sizes and refuses absurd ones before anything is allocated.</summary>
    /// <param name="sourceHeight">Rows of the picture, at least 1.</param>
    /// <param name="sourceWidth">Columns of the picture, at least 1.</param>
    /// <param name="minSize">Length of the shorter side after resizing; 0 keeps the size.</param>
    /// <param name="maxSize">Cap on the longer side after resizing; 0 for none.</param>
    /// <param name="divisor">Padded sides are multiples of this (the model's <c>SizeDivisibility</c>).</param>
    /// <param name="maxPixels">Limit on <c>PaddedHeight · PaddedWidth</c>, at most <see cref="DefaultMaxPixels"/> times 8.</param>
    /// <exception cref="ArgumentException">The input would have more than <paramref name="maxPixels"/> pixels; the message names the sizes.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An argument is out of range.</exception>
    public static ImageGeometry Plan(int sourceHeight, int sourceWidth, int minSize, int maxSize, int divisor = 32, long maxPixels = DefaultMaxPixels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(divisor, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPixels, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxPixels, DefaultMaxPixels * 8); // so that lengths fit an int
        (int height, int width) = ImageSize.Target(sourceHeight, sourceWidth, minSize, maxSize);
        long paddedHeight = RoundUp(height, divisor);
        long paddedWidth = RoundUp(width, divisor);
        if (paddedHeight > maxPixels / paddedWidth)
        {
            string remedy = (minSize, maxSize) switch
            {
                (0, _) => "set a minimum size, to which it is reduced",
                (_, 0) => $"set a maximum size, or a smaller minimum size than {minSize}",
                _ => $"set a smaller minimum size than {minSize}, or maximum size than {maxSize}",
            };
            throw new ArgumentException(
                $"the {sourceWidth}x{sourceHeight} picture becomes {width}x{height} ({paddedWidth * (decimal)paddedHeight:0} pixels when padded), "
                + $"the limit is {maxPixels}: {remedy}",
                nameof(minSize));
        }

        return new ImageGeometry(sourceHeight, sourceWidth, height, width, (int)paddedHeight, (int)paddedWidth);
    }

    private static long RoundUp(int value, int divisor) => ((long)value + divisor - 1) / divisor * divisor;
}
