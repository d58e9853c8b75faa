using Glip.Managed.Imaging;

namespace Glip.Managed.Tests.Imaging;

/// <summary>The resize of the specification, written out pixel by pixel on a picture of [height][width][channel] integers.</summary>
internal static class ReferenceResize
{
    /// <summary>The picture as blue, green, red integers.</summary>
    public static int[,,] ToBgr(ImageView image)
    {
        var bgr = new int[image.Height, image.Width, 3];
        int bytes = image.Format.BytesPerPixel();
        for (int y = 0; y < image.Height; y++)
        {
            for (int x = 0; x < image.Width; x++)
            {
                ReadOnlySpan<byte> pixel = image.Row(y).Slice(x * bytes, bytes);
                for (int c = 0; c < 3; c++)
                {
                    bgr[y, x, c] = image.Format switch
                    {
                        PixelFormat.Gray8 => pixel[0],
                        PixelFormat.Bgr24 or PixelFormat.Bgra32 => pixel[c],
                        _ => pixel[2 - c],
                    };
                }
            }
        }

        return bgr;
    }

    public static byte[] Resize(ImageView image, int width, int height)
    {
        int[,,] picture = ToBgr(image);
        if (width != image.Width)
            picture = Columns(picture, width);
        if (height != image.Height)
            picture = Transpose(Columns(Transpose(picture), height));
        return [.. picture.Cast<int>().Select(v => (byte)v)];
    }

    private static int[,,] Columns(int[,,] source, int width)
    {
        int height = source.GetLength(0);
        int inSize = source.GetLength(1);
        var result = new int[height, width, 3];
        double scale = (double)inSize / width;
        double f = Math.Max(scale, 1);
        for (int i = 0; i < width; i++)
        {
            double center = (i + 0.5) * scale;
            int x0 = Math.Max(0, (int)Math.Truncate(center - f + 0.5));
            int x1 = Math.Min(inSize, (int)Math.Truncate(center + f + 0.5));
            double[] weights = [.. Enumerable.Range(x0, x1 - x0).Select(x => Math.Max(0, 1 - Math.Abs((x - center + 0.5) * (1 / f))))];
            double sum = 0;
            foreach (double weight in weights)
                sum += weight;
            for (int y = 0; y < height; y++)
            {
                for (int c = 0; c < 3; c++)
                {
                    long total = 1 << 21;
                    for (int x = x0; x < x1; x++)
                        total += source[y, x, c] * (long)Math.Truncate(weights[x - x0] / sum * (1 << 22) + 0.5);
                    result[y, i, c] = (int)Math.Clamp(total >> 22, 0, 255);
                }
            }
        }

        return result;
    }

    private static int[,,] Transpose(int[,,] source)
    {
        var result = new int[source.GetLength(1), source.GetLength(0), 3];
        for (int y = 0; y < source.GetLength(0); y++)
        {
            for (int x = 0; x < source.GetLength(1); x++)
            {
                for (int c = 0; c < 3; c++)
                    result[x, y, c] = source[y, x, c];
            }
        }

        return result;
    }
}
