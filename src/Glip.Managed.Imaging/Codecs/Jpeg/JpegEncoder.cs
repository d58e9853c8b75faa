namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>Writes baseline JFIF with the tables of T.81 annex K: gray pictures as one component, all others as YCbCr.</summary>
internal sealed class JpegEncoder
{
    private const int MaxSide = 65535;
    private const int Side = JpegComponent.BlockSide;
    private const float Center = 128;

    private readonly JpegBitWriter _bits;
    private readonly Channel[] _channels;
    private readonly float[] _samples = new float[JpegTables.BlockSize];
    private readonly float[] _coefficients = new float[JpegTables.BlockSize];

    private JpegEncoder(Stream stream, Channel[] channels)
    {
        _bits = new JpegBitWriter(stream);
        _channels = channels;
    }

    /// <summary>Writes a whole file.</summary>
    /// <exception cref="ArgumentException">The picture is larger than the format allows.</exception>
    public static void Write(Stream stream, ImageView image, int quality, JpegChroma chroma)
    {
        if (image.Width > MaxSide || image.Height > MaxSide)
            throw new ArgumentException($"JPEG holds up to {MaxSide}x{MaxSide} pixels, got {image.Width}x{image.Height}", nameof(image));
        byte[] luminance = Scaled(JpegTables.LuminanceQuantization, quality);
        byte[] chrominance = Scaled(JpegTables.ChrominanceQuantization, quality);
        int sampling = image.Format == PixelFormat.Gray8 || chroma == JpegChroma.Full ? 1 : 2;
        var luma = new Channel(sampling, 0, luminance, new JpegHuffmanCodes(JpegTables.LuminanceDc), new JpegHuffmanCodes(JpegTables.LuminanceAc));
        Channel[] channels = image.Format == PixelFormat.Gray8 ? [luma] : [luma, Color(), Color()];

        WriteHeaders(stream, image, channels, luminance, chrominance);
        new JpegEncoder(stream, channels).WritePixels(image);
        stream.Write([0xFF, JpegMarker.EndOfImage]);

        Channel Color() => new(1, 1, chrominance, new JpegHuffmanCodes(JpegTables.ChrominanceDc), new JpegHuffmanCodes(JpegTables.ChrominanceAc));
    }

    /// <summary>A table of annex K, made for quality 50, scaled in the way that became usual: 1 is the coarsest, 100 is all ones.</summary>
    public static byte[] Scaled(ReadOnlySpan<byte> table, int quality)
    {
        int percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
        var scaled = new byte[table.Length];
        for (int i = 0; i < scaled.Length; i++)
            scaled[i] = (byte)Math.Clamp((table[i] * percent + 50) / 100, 1, 255);
        return scaled;
    }

    private static void WriteHeaders(Stream stream, ImageView image, Channel[] channels, byte[] luminance, byte[] chrominance)
    {
        bool gray = channels.Length == 1;
        stream.Write([0xFF, JpegMarker.StartOfImage]);

        // JFIF 1.01, pixels as high as wide, no thumbnail
        WriteSegment(stream, JpegMarker.App0, [.. "JFIF\0"u8, 1, 1, 0, 0, 1, 0, 1, 0, 0]);
        WriteSegment(stream, JpegMarker.QuantizationTables, [0, .. InCodingOrder(luminance)]);
        if (!gray)
            WriteSegment(stream, JpegMarker.QuantizationTables, [1, .. InCodingOrder(chrominance)]);

        List<byte> frame = [8, (byte)(image.Height >> 8), (byte)image.Height, (byte)(image.Width >> 8), (byte)image.Width, (byte)channels.Length];
        List<byte> scan = [(byte)channels.Length];
        for (int i = 0; i < channels.Length; i++)
        {
            frame.AddRange([(byte)(i + 1), (byte)(channels[i].Sampling << 4 | channels[i].Sampling), (byte)channels[i].Tables]);
            scan.AddRange([(byte)(i + 1), (byte)(channels[i].Tables << 4 | channels[i].Tables)]);
        }

        WriteSegment(stream, JpegMarker.BaselineFrame, [.. frame]);
        WriteSegment(stream, JpegMarker.HuffmanTables, [0x00, .. JpegTables.LuminanceDc]);
        WriteSegment(stream, JpegMarker.HuffmanTables, [0x10, .. JpegTables.LuminanceAc]);
        if (!gray)
        {
            WriteSegment(stream, JpegMarker.HuffmanTables, [0x01, .. JpegTables.ChrominanceDc]);
            WriteSegment(stream, JpegMarker.HuffmanTables, [0x11, .. JpegTables.ChrominanceAc]);
        }

        WriteSegment(stream, JpegMarker.StartOfScan, [.. scan, 0, JpegTables.BlockSize - 1, 0]);
    }

    private static void WriteSegment(Stream stream, byte marker, byte[] content)
    {
        int length = content.Length + 2;
        stream.Write([0xFF, marker, (byte)(length >> 8), (byte)length]);
        stream.Write(content);
    }

    private static byte[] InCodingOrder(byte[] table)
    {
        var ordered = new byte[table.Length];
        for (int i = 0; i < ordered.Length; i++)
            ordered[i] = table[JpegTables.ZigZag[i]];
        return ordered;
    }

    private void WritePixels(ImageView image)
    {
        int mcuSide = _channels[0].Sampling * Side;
        int paddedWidth = (image.Width + mcuSide - 1) / mcuSide * mcuSide;
        var row = new byte[image.Width * 3];
        foreach (Channel channel in _channels)
            channel.Strip = new float[mcuSide * paddedWidth];
        for (int top = 0; top < image.Height; top += mcuSide)
        {
            for (int y = 0; y < mcuSide; y++)
            {
                // Behind the edges the outermost pixels go on.
                PixelRows.ToRgb24(image.Row(Math.Min(top + y, image.Height - 1)), image.Format, row);
                Split(row, y * paddedWidth, paddedWidth);
            }

            for (int left = 0; left < paddedWidth; left += mcuSide)
            {
                foreach (Channel channel in _channels)
                {
                    int step = mcuSide / (channel.Sampling * Side); // pixels of a sample's side
                    for (int y = 0; y < mcuSide; y += Side * step)
                    {
                        for (int x = 0; x < mcuSide; x += Side * step)
                        {
                            ReadSamples(channel.Strip, y * paddedWidth + left + x, paddedWidth, step);
                            WriteBlock(channel);
                        }
                    }
                }
            }
        }

        _bits.Finish();
    }

    /// <summary>RGB to the channels (ITU-T T.871 section 7), around 0.</summary>
    private void Split(ReadOnlySpan<byte> rgb, int offset, int paddedWidth)
    {
        int width = rgb.Length / 3;
        for (int c = 0; c < _channels.Length; c++)
        {
            Span<float> samples = _channels[c].Strip.AsSpan(offset, paddedWidth);
            (float red, float green, float blue, float shift) = c switch
            {
                0 => (0.299f, 0.587f, 0.114f, Center),
                1 => (-0.168735892f, -0.331264108f, 0.5f, 0f),
                _ => (0.5f, -0.418687589f, -0.081312411f, 0f),
            };
            for (int x = 0; x < width; x++)
                samples[x] = red * rgb[3 * x] + green * rgb[3 * x + 1] + blue * rgb[3 * x + 2] - shift;
            samples[width..].Fill(samples[width - 1]);
        }
    }

    private void ReadSamples(float[] strip, int offset, int stride, int step)
    {
        for (int y = 0; y < Side; y++)
        {
            ReadOnlySpan<float> source = strip.AsSpan(offset + y * step * stride);
            Span<float> target = _samples.AsSpan(y * Side, Side);
            if (step == 1)
            {
                source[..Side].CopyTo(target);
                continue;
            }

            for (int x = 0; x < Side; x++)
                target[x] = 0.25f * (source[2 * x] + source[2 * x + 1] + source[2 * x + stride] + source[2 * x + stride + 1]);
        }
    }

    private void WriteBlock(Channel channel)
    {
        JpegForwardDct.Transform(_samples, _coefficients);
        int dc = Quantized(channel, 0);
        _bits.WriteCoefficient(channel.Dc, 0, dc - channel.DcPrediction);
        channel.DcPrediction = dc;
        int run = 0;
        for (int k = 1; k < JpegTables.BlockSize; k++)
        {
            int value = Quantized(channel, JpegTables.ZigZag[k]);
            if (value == 0)
            {
                run++;
                continue;
            }

            for (; run >= 16; run -= 16)
                channel.Ac.Write(_bits, 0xF0);
            _bits.WriteCoefficient(channel.Ac, run, value);
            run = 0;
        }

        if (run > 0)
            channel.Ac.Write(_bits, 0);
    }

    private int Quantized(Channel channel, int index) => (int)MathF.Round(_coefficients[index] / channel.Quantization[index]);

    /// <summary>One component in the making.</summary>
    private sealed class Channel(int sampling, int tables, byte[] quantization, JpegHuffmanCodes dc, JpegHuffmanCodes ac)
    {
        public int Sampling => sampling;

        /// <summary>Number of its quantization and Huffman tables.</summary>
        public int Tables => tables;

        public byte[] Quantization => quantization;

        public JpegHuffmanCodes Dc => dc;

        public JpegHuffmanCodes Ac => ac;

        public int DcPrediction { get; set; }

        /// <summary>A row of MCUs, one value a pixel.</summary>
        public float[] Strip { get; set; } = [];
    }
}
