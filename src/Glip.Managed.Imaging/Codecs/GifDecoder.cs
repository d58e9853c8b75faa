using System.Buffers.Binary;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>The first frame of a GIF on its screen.</summary>
/// <remarks>
/// As Pillow's <c>convert("RGB")</c> of the first frame: transparent pixels have their palette color; what the frame does not
/// cover has that of the transparent entry, or of entry 0 without one. A frame that reaches beyond the screen enlarges it.
/// </remarks>
internal sealed class GifDecoder : IImageDecoder
{
    private const int ScreenBytes = 13;
    private const int FrameBytes = 9;
    private const byte Extension = 0x21;
    private const byte Frame = 0x2C;
    private const byte Trailer = 0x3B;
    private const byte GraphicControl = 0xF9;

    // First row and distance of rows of each pass.
    private static readonly (int First, int Step)[] _interlacedPasses = [(0, 8), (4, 8), (2, 4), (1, 2)];
    private static readonly (int First, int Step)[] _singlePass = [(0, 1)];

    public ImageFormat? Recognize(ReadOnlySpan<byte> file) =>
        file.StartsWith("GIF87a"u8) || file.StartsWith("GIF89a"u8) ? ImageFormat.Gif : null;

    public DecodedImage Decode(ReadOnlySpan<byte> file, DecodeContext context)
    {
        int position = 0;
        ReadOnlySpan<byte> screen = Take(file, ref position, ScreenBytes, context);
        int width = BinaryPrimitives.ReadUInt16LittleEndian(screen[6..]);
        int height = BinaryPrimitives.ReadUInt16LittleEndian(screen[8..]);
        ReadOnlySpan<byte> palette = Palette(file, ref position, screen[10], context);
        int transparent = 0;
        for (; ; )
        {
            byte kind = Take(file, ref position, 1, context)[0];
            switch (kind)
            {
                case Extension:
                    bool control = Take(file, ref position, 1, context)[0] == GraphicControl;
                    ReadOnlySpan<byte> block = Block(file, ref position, context);
                    if (control && block.Length >= 4 && (block[0] & 1) != 0)
                        transparent = block[3];
                    while (!block.IsEmpty)
                        block = Block(file, ref position, context);
                    break;
                case Frame:
                    ReadOnlySpan<byte> frame = Take(file, ref position, FrameBytes, context);
                    int left = BinaryPrimitives.ReadUInt16LittleEndian(frame);
                    int top = BinaryPrimitives.ReadUInt16LittleEndian(frame[2..]);
                    int frameWidth = BinaryPrimitives.ReadUInt16LittleEndian(frame[4..]);
                    int frameHeight = BinaryPrimitives.ReadUInt16LittleEndian(frame[6..]);
                    if (frameWidth == 0 || frameHeight == 0)
                        throw context.Corrupt($"a frame of {frameWidth}x{frameHeight}");
                    ReadOnlySpan<byte> local = Palette(file, ref position, frame[8], context);
                    width = Math.Max(width, left + frameWidth);
                    height = Math.Max(height, top + frameHeight);
                    context.ReservePixels(width, height);
                    context.Reserve((long)frameWidth * frameHeight, "indices");

                    var indices = new byte[frameWidth * frameHeight];
                    indices.AsSpan().Fill((byte)transparent);
                    int codeBits = Take(file, ref position, 1, context)[0];
                    new GifLzw(codeBits, context).Decode(file[position..], indices);

                    byte[] colors = Colors(local.IsEmpty ? palette : local);
                    var pixels = new byte[width * height * 3];
                    if (frameWidth != width || frameHeight != height)
                        Paint(Enumerable.Repeat((byte)transparent, width).ToArray(), colors, pixels, width, height);
                    var placed = pixels.AsSpan((top * width + left) * 3);
                    int row = 0;
                    foreach ((int first, int step) in (frame[8] & 0x40) != 0 ? _interlacedPasses : _singlePass)
                    {
                        for (int y = first; y < frameHeight; y += step, row++)
                            ToRgb(indices.AsSpan(row * frameWidth, frameWidth), colors, placed[(y * width * 3)..]);
                    }

                    return new DecodedImage(width, height, pixels) { Format = ImageFormat.Gif };
                case Trailer:
                    throw context.Corrupt("no frame");
                default:
                    break; // stray bytes between blocks are passed over
            }
        }
    }

    private static void Paint(byte[] row, byte[] colors, byte[] pixels, int width, int height)
    {
        for (int y = 0; y < height; y++)
            ToRgb(row, colors, pixels.AsSpan(y * width * 3, width * 3));
    }

    private static void ToRgb(ReadOnlySpan<byte> indices, byte[] colors, Span<byte> rgb)
    {
        for (int x = 0; x < indices.Length; x++)
            colors.AsSpan(indices[x] * 3, 3).CopyTo(rgb[(3 * x)..]);
    }

    /// <summary>The palette that the flags announce; empty if they do not.</summary>
    private static ReadOnlySpan<byte> Palette(ReadOnlySpan<byte> file, ref int position, byte flags, DecodeContext context) =>
        (flags & 0x80) == 0 ? [] : Take(file, ref position, 3 << ((flags & 7) + 1), context);

    /// <summary>256 entries, gray where the file has none.</summary>
    private static byte[] Colors(ReadOnlySpan<byte> palette)
    {
        var colors = new byte[256 * 3];
        for (int i = 0; i < 256; i++)
            colors.AsSpan(3 * i, 3).Fill((byte)i);
        palette.CopyTo(colors);
        return colors;
    }

    /// <summary>A data block after its length; empty at the end of a chain.</summary>
    private static ReadOnlySpan<byte> Block(ReadOnlySpan<byte> file, ref int position, DecodeContext context) =>
        Take(file, ref position, Take(file, ref position, 1, context)[0], context);

    private static ReadOnlySpan<byte> Take(ReadOnlySpan<byte> file, ref int position, int bytes, DecodeContext context)
    {
        if (file.Length - position < bytes)
            throw context.Truncated("the file ends before the first frame's pixels");
        position += bytes;
        return file.Slice(position - bytes, bytes);
    }
}
