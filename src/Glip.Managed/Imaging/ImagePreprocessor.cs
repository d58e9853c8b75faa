using System.Buffers;

namespace Glip.Managed.Imaging;

/// <summary>From a picture to the model's input: resize, normalise, pad.</summary>
public static class ImagePreprocessor
{
    /// <summary>Channels of the input, in the order blue, green, red.</summary>
    public const int Channels = 3;

    private const int ByteValues = 256;

    /// <summary>What is subtracted from blue, green and red (PIXEL_MEAN), in byte units.</summary>
    public static ReadOnlySpan<float> PixelMean => [103.530f, 116.280f, 123.675f];

    /// <summary>What blue, green and red are divided by after that (PIXEL_STD).</summary>
    public static ReadOnlySpan<float> PixelStd => [57.375f, 57.120f, 58.395f];

    // The three channels' 256 possible results one after the other. The original's x/255·255 returns x for every byte, so it is left out.
    private static readonly float[] _normalized = NormalizedValues();

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
        ReadOnlySpan<float> blue = _normalized.AsSpan(0, ByteValues);
        ReadOnlySpan<float> green = _normalized.AsSpan(ByteValues, ByteValues);
        ReadOnlySpan<float> red = _normalized.AsSpan(2 * ByteValues, ByteValues);
        int row = geometry.Width * Channels;
        int paddedRow = geometry.PaddedWidth * Channels;
        for (int y = 0; y < geometry.Height; y++)
        {
            ReadOnlySpan<byte> from = bgr.Slice(y * row, row);
            Span<float> to = input.Slice(y * paddedRow, paddedRow);
            for (int x = 0; x <= from.Length - Channels; x += Channels)
            {
                to[x] = blue[from[x]];
                to[x + 1] = green[from[x + 1]];
                to[x + 2] = red[from[x + 2]];
            }

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
        byte[] bgr = ArrayPool<byte>.Shared.Rent(geometry.ResizedLength);
        try
        {
            Resize(image, geometry, bgr);
            Normalize(bgr, geometry, input);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bgr);
        }
    }

    private static float[] NormalizedValues()
    {
        var values = new float[Channels * ByteValues];
        for (int c = 0; c < Channels; c++)
        {
            for (int x = 0; x < ByteValues; x++)
                values[c * ByteValues + x] = (x - PixelMean[c]) / PixelStd[c];
        }

        return values;
    }

    private static void RequireLength(int length, int needed, string name)
    {
        if (length < needed)
            throw new ArgumentException($"needs {needed} elements, got {length}", name);
    }
}
