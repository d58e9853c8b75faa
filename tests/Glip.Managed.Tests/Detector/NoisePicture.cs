using Glip.Managed.Imaging;

namespace Glip.Tests.Detector;

/// <summary>A picture of random colours, in any pixel format.</summary>
internal sealed class NoisePicture
{
    private readonly byte[] _pixels;
    private readonly PixelFormat _format;
    private readonly int _stride;

    public NoisePicture(int width, int height, int seed = 1)
    {
        (Width, Height, _format, _stride) = (width, height, PixelFormat.Rgb24, 3 * width);
        _pixels = new byte[_stride * height];
        new Random(seed).NextBytes(_pixels);
    }

    private NoisePicture(NoisePicture original, PixelFormat format, int gap)
    {
        (Width, Height, _format) = (original.Width, original.Height, format);
        int size = format.BytesPerPixel();
        _stride = (Width * size) + gap;
        _pixels = new byte[(_stride * (Height - 1)) + (Width * size)];
        Array.Fill(_pixels, (byte)0xA5); // what lies between rows, and alpha, must not matter
        for (int y = 0; y < Height; y++)
        {
            for (int x = 0; x < Width; x++)
            {
                ReadOnlySpan<byte> from = original._pixels.AsSpan((y * original._stride) + (3 * x), 3);
                Span<byte> to = _pixels.AsSpan((y * _stride) + (size * x), size);
                bool blueFirst = format is PixelFormat.Bgr24 or PixelFormat.Bgra32;
                to[0] = from[blueFirst ? 2 : 0];
                if (size == 1)
                    continue;
                to[1] = from[1];
                to[2] = from[blueFirst ? 0 : 2];
            }
        }
    }

    public int Width { get; }

    public int Height { get; }

    public ImageView View => new(_pixels, Width, Height, _format, _stride);

    public ImageMemory Memory => new(_pixels, Width, Height, _format, _stride);

    /// <summary>The same without colour: every channel is red's.</summary>
    public NoisePicture Grayed()
    {
        var gray = new NoisePicture(Width, Height);
        for (int i = 0; i < _pixels.Length; i++)
            gray._pixels[i] = _pixels[i - (i % 3)];
        return gray;
    }

    /// <summary>The same colours in another format, with <paramref name="gap"/> bytes between rows.</summary>
    public NoisePicture As(PixelFormat format, int gap) => new(this, format, gap);
}
