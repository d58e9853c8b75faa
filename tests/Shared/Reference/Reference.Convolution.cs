namespace Glip.Tests;

public static partial class Reference
{
    /// <summary>Output length of a convolution axis.</summary>
    public static int ConvOutput(int length, int kernel, int stride, int padding) => (int)Math.Floor((double)(length + (2 * padding) - kernel) / stride) + 1;

    /// <summary>NHWC convolution with weights as checkpoints store them, [O, C, k, k].</summary>
    public static double[] Conv2d(
        ReadOnlySpan<double> x, int height, int width, int channels, int kernel, int stride, int padding,
        ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, int outputs)
    {
        int outputHeight = ConvOutput(height, kernel, stride, padding), outputWidth = ConvOutput(width, kernel, stride, padding);
        var y = new double[outputHeight * outputWidth * outputs];
        for (int oy = 0; oy < outputHeight; oy++)
        {
            for (int ox = 0; ox < outputWidth; ox++)
            {
                for (int o = 0; o < outputs; o++)
                {
                    double sum = bias.IsEmpty ? 0 : bias[o];
                    for (int ky = 0; ky < kernel; ky++)
                    {
                        for (int kx = 0; kx < kernel; kx++)
                        {
                            int iy = (oy * stride) - padding + ky, ix = (ox * stride) - padding + kx;
                            if (iy < 0 || iy >= height || ix < 0 || ix >= width)
                                continue;
                            for (int c = 0; c < channels; c++)
                                sum += x[(((iy * width) + ix) * channels) + c] * weight[(((((o * channels) + c) * kernel) + ky) * kernel) + kx];
                        }
                    }

                    y[(((oy * outputWidth) + ox) * outputs) + o] = sum;
                }
            }
        }

        return y;
    }

    /// <summary>Modulated deformable 3×3 convolution, padding 1; offsets and masks are read as flat planes of the output's size.</summary>
    public static double[] ModulatedDeformConv2d(
        ReadOnlySpan<double> x, int height, int width, int channels, int stride, ReadOnlySpan<double> offsets, ReadOnlySpan<double> masks,
        ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, int outputs)
    {
        int outputHeight = ConvOutput(height, 3, stride, 1), outputWidth = ConvOutput(width, 3, stride, 1), plane = outputHeight * outputWidth;
        var y = new double[plane * outputs];
        for (int p = 0; p < plane; p++)
        {
            for (int o = 0; o < outputs; o++)
                y[(p * outputs) + o] = bias.IsEmpty ? 0 : bias[o];
            for (int tap = 0; tap < 9; tap++)
            {
                double sy = (p / outputWidth * stride) - 1 + (tap / 3) + offsets[(2 * tap * plane) + p];
                double sx = (p % outputWidth * stride) - 1 + (tap % 3) + offsets[(((2 * tap) + 1) * plane) + p];
                for (int c = 0; c < channels; c++)
                {
                    double sample = Bilinear(x, height, width, channels, sy, sx, c) * masks[(tap * plane) + p];
                    for (int o = 0; o < outputs; o++)
                        y[(p * outputs) + o] += sample * weight[(((o * channels) + c) * 9) + tap];
                }
            }
        }

        return y;
    }

    /// <summary>Bilinear resize, aligned corners.</summary>
    public static double[] BilinearAlignCorners(ReadOnlySpan<double> x, int height, int width, int channels, int outputHeight, int outputWidth)
    {
        var y = new double[outputHeight * outputWidth * channels];
        for (int oy = 0; oy < outputHeight; oy++)
        {
            for (int ox = 0; ox < outputWidth; ox++)
            {
                double sy = outputHeight > 1 ? (double)oy * (height - 1) / (outputHeight - 1) : 0;
                double sx = outputWidth > 1 ? (double)ox * (width - 1) / (outputWidth - 1) : 0;
                for (int c = 0; c < channels; c++)
                    y[(((oy * outputWidth) + ox) * channels) + c] = Bilinear(x, height, width, channels, sy, sx, c);
            }
        }

        return y;
    }

    /// <summary>y + nearest-neighbour resize of x.</summary>
    public static double[] AddNearest(
        ReadOnlySpan<double> x, int height, int width, int channels, ReadOnlySpan<double> y, int outputHeight, int outputWidth)
    {
        double[] result = y.ToArray();
        for (int oy = 0; oy < outputHeight; oy++)
        {
            for (int ox = 0; ox < outputWidth; ox++)
            {
                int sy = oy * height / outputHeight, sx = ox * width / outputWidth;
                for (int c = 0; c < channels; c++)
                    result[(((oy * outputWidth) + ox) * channels) + c] += x[(((sy * width) + sx) * channels) + c];
            }
        }

        return result;
    }

    /// <summary>Swin's 2×2 gather: (0,0), (1,0), (0,1), (1,1), zeros outside.</summary>
    public static double[] PatchGather(ReadOnlySpan<double> x, int height, int width, int channels)
    {
        int outputHeight = (height + 1) / 2, outputWidth = (width + 1) / 2;
        var y = new double[outputHeight * outputWidth * 4 * channels];
        (int Row, int Column)[] corners = [(0, 0), (1, 0), (0, 1), (1, 1)];
        for (int cell = 0; cell < outputHeight * outputWidth; cell++)
        {
            for (int corner = 0; corner < 4; corner++)
            {
                int row = (cell / outputWidth * 2) + corners[corner].Row, column = (cell % outputWidth * 2) + corners[corner].Column;
                for (int c = 0; c < channels && row < height && column < width; c++)
                    y[(((cell * 4) + corner) * channels) + c] = x[(((row * width) + column) * channels) + c];
            }
        }

        return y;
    }

    /// <summary>0 at or beyond −1 or the size (and for NaN); neighbours outside count as 0.</summary>
    private static double Bilinear(ReadOnlySpan<double> x, int height, int width, int channels, double sy, double sx, int c)
    {
        if (!(sy > -1 && sy < height && sx > -1 && sx < width))
            return 0;
        int y0 = (int)Math.Floor(sy), x0 = (int)Math.Floor(sx);
        double fy = sy - y0, fx = sx - x0, sum = 0;
        for (int corner = 0; corner < 4; corner++)
        {
            int iy = y0 + (corner / 2), ix = x0 + (corner % 2);
            if (iy >= 0 && iy < height && ix >= 0 && ix < width)
                sum += (corner / 2 == 0 ? 1 - fy : fy) * (corner % 2 == 0 ? 1 - fx : fx) * x[(((iy * width) + ix) * channels) + c];
        }

        return sum;
    }
}
