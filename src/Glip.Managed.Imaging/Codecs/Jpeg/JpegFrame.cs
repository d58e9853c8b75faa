using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>The frame header (T.81 B.2.2): size, components and coding process.</summary>
internal sealed class JpegFrame
{
    private const int FixedBytes = 6;
    private const int BytesPerComponent = 3;
    private const int MaxSampling = 4;

    private JpegFrame(int width, int height, bool progressive, JpegComponent[] components)
    {
        Width = width;
        Height = height;
        Progressive = progressive;
        Components = components;
        MaxHorizontal = components.Max(c => c.Horizontal);
        MaxVertical = components.Max(c => c.Vertical);
        McusWide = CeilingRatio(width, MaxHorizontal * JpegComponent.BlockSide);
        McusHigh = CeilingRatio(height, MaxVertical * JpegComponent.BlockSide);
        foreach (JpegComponent component in components)
        {
            component.SetSize(
                CeilingRatio(width * component.Horizontal, MaxHorizontal), CeilingRatio(height * component.Vertical, MaxVertical), McusWide, McusHigh);
        }
    }

    public int Width { get; }

    public int Height { get; }

    public bool Progressive { get; }

    public JpegComponent[] Components { get; }

    public int MaxHorizontal { get; }

    public int MaxVertical { get; }

    public int McusWide { get; }

    public int McusHigh { get; }

    /// <exception cref="GlipFormatException">Not a frame that this decoder reads.</exception>
    public static JpegFrame Parse(byte marker, ReadOnlySpan<byte> content, DecodeContext context)
    {
        switch (marker)
        {
            case JpegMarker.BaselineFrame or JpegMarker.ExtendedFrame or JpegMarker.ProgressiveFrame:
                break;
            case 0xC3:
                throw context.Unsupported("lossless JPEG (SOF3)");
            case 0xC9 or 0xCA or 0xCB:
                throw context.Unsupported($"arithmetic coding (SOF{marker - JpegMarker.BaselineFrame})");
            default:
                throw context.Unsupported($"hierarchical JPEG (SOF{marker - JpegMarker.BaselineFrame})");
        }

        if (content.Length < FixedBytes || content.Length != FixedBytes + content[5] * BytesPerComponent)
            throw context.Corrupt($"a frame header of {content.Length} bytes");
        int precision = content[0];
        int height = BinaryPrimitives.ReadUInt16BigEndian(content[1..]);
        int width = BinaryPrimitives.ReadUInt16BigEndian(content[3..]);
        if (precision != 8)
            throw context.Unsupported($"{precision}-bit samples, expected 8");
        if (height == 0)
            throw context.Unsupported("the height is left to a DNL marker");
        if (width == 0)
            throw context.Corrupt($"a size of {width}x{height}");
        int count = content[5];
        if (count is not (1 or 3 or 4))
            throw context.Unsupported($"{count} components, expected 1, 3 or 4");

        var components = new JpegComponent[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> part = content.Slice(FixedBytes + i * BytesPerComponent, BytesPerComponent);
            int horizontal = part[1] >> 4;
            int vertical = part[1] & 15;
            if (horizontal is 0 or > MaxSampling || vertical is 0 or > MaxSampling)
                throw context.Corrupt($"sampling factors {horizontal}x{vertical}, expected 1 to {MaxSampling}");

            // A single component is not interleaved, whatever its factors say (A.2.2).
            components[i] = count == 1 ? new JpegComponent(part[0], 1, 1, part[2]) : new JpegComponent(part[0], horizontal, vertical, part[2]);
        }

        return new JpegFrame(width, height, marker == JpegMarker.ProgressiveFrame, components);
    }

    private static int CeilingRatio(int value, int divisor) => (value + divisor - 1) / divisor;
}
