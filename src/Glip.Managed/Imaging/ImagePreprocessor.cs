using System.Numerics.Tensors;

namespace Glip.Managed.Imaging;

/// <summary>From a picture to the model's input: resize, normalise, pad.</summary>
public static class ImagePreprocessor
{
    /// <summary>Channels of the input, in the order blue, green, red.</summary>
    public const int Channels = 3;

    /// <summary>What is subtracted from blue, green and red (PIXEL_MEAN), in byte units.</summary>
    public static ReadOnlySpan<float> PixelMean => [103.530f, 116.280f, 123.675f];

    /// <summary>What blue, green and red are divided by after that (PIXEL_STD).</summary>
    public static ReadOnlySpan<float> PixelStd => [57.375f, 57.120f, 58.395f];

    /// <summary>Resizes a picture as the original does, byte for byte.</summary>
    /// <param name="image">The picture, of the size that <paramref name="geometry"/> was planned for.</param>
    /// <param name="geometry">Sizes.</param>
    /// <param name="bgr">Receives <c>[Height, Width, 3]</c> bytes in BGR order.</param>
    /// <exception cref="ArgumentException">Sizes do not belong together.</exception>
    public static void Resize(ImageView image, in ImageGeometry geometry, Span<byte> bgr)
    {
        if (image.Width != geometry.SourceWidth || image.Height != geometry.SourceHeight)
            throw new ArgumentException($"the geometry is for a picture of {geometry.SourceWidth}x{geometry.SourceHeight}, got {image.Width}x{image.Height}", nameof(geometry));
        PillowResize.Resize(image, geometry.Width, geometry.Height, bgr);
    }

    /// <summary>Turns resized bytes into the model's input: <c>(x − mean) / std</c> in float32, zeros to the right and below.</summary>
    /// <param name="bgr"><c>[Height, Width, 3]</c> bytes in BGR order.</param>
    /// <param name="geometry">Sizes.</param>
    /// <param name="input">Receives <c>[PaddedHeight, PaddedWidth, 3]</c> floats in BGR order.</param>
    /// <exception cref="ArgumentException">A span is too short.</exception>
    public static void Normalize(ReadOnlySpan<byte> bgr, in ImageGeometry geometry, Span<float> input)
    {
        RequireLength(bgr.Length, geometry.ResizedLength, nameof(bgr));
        RequireLength(input.Length, geometry.InputLength, nameof(input));
        input = input[..geometry.InputLength];
        int row = geometry.Width * Channels;
        int paddedRow = geometry.PaddedWidth * Channels;

        // The original's x/255·255 returns x for every byte, so it is left out.
        using var constants = new PooledArray<float>(2 * row);
        Span<float> means = constants.Span[..row], deviations = constants.Span[row..];
        Repeat(PixelMean, means);
        Repeat(PixelStd, deviations);
        for (int y = 0; y < geometry.Height; y++)
        {
            Span<float> to = input.Slice(y * paddedRow, paddedRow), values = to[..row];
            TensorPrimitives.ConvertTruncating(bgr.Slice(y * row, row), values);
            TensorPrimitives.Subtract(values, means, values);
            TensorPrimitives.Divide(values, deviations, values);
            to[row..].Clear();
        }

        input[(geometry.Height * paddedRow)..].Clear();
    }

    /// <summary>Resizes, normalises and pads.</summary>
    /// <param name="image">The picture, of the size that <paramref name="geometry"/> was planned for.</param>
    /// <param name="geometry">Sizes.</param>
    /// <param name="input">Receives <c>[PaddedHeight, PaddedWidth, 3]</c> floats in BGR order.</param>
    /// <exception cref="ArgumentException">Sizes do not belong together, or <paramref name="input"/> is too short.</exception>
    public static void Prepare(ImageView image, in ImageGeometry geometry, Span<float> input)
    {
        using var bgr = new PooledArray<byte>(geometry.ResizedLength);
        Resize(image, geometry, bgr.Span);
        Normalize(bgr.Span, geometry, input);
    }

    private static void Repeat(ReadOnlySpan<float> channels, Span<float> row)
    {
        for (; !row.IsEmpty; row = row[Channels..])
            channels.CopyTo(row);
    }

    private static void RequireLength(int length, int needed, string name)
    {
        if (length < needed)
            throw new ArgumentException($"needs {needed} elements, got {length}", name);
    }
}
