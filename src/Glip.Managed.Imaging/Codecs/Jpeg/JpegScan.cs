namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>A component of a scan with the codes that its blocks are written in; a code that the scan does not need is null.</summary>
internal readonly record struct JpegScanComponent(JpegComponent Component, JpegHuffmanTable? Dc, JpegHuffmanTable? Ac);

/// <summary>The scan header (T.81 B.2.3): which coefficients of which components follow, and with which precision.</summary>
/// <param name="Components">In the order in which an MCU holds them.</param>
/// <param name="First">First coefficient in coding order.</param>
/// <param name="Last">Last coefficient.</param>
/// <param name="KnownShift">The low bits that were unknown before, or 0 if the coefficients come for the first time.</param>
/// <param name="Shift">The low bits that stay unknown.</param>
internal sealed record JpegScan(JpegScanComponent[] Components, int First, int Last, int KnownShift, int Shift)
{
    private const int MaxBlocksPerMcu = 10;
    private const int MaxShift = 13;

    public bool IsInterleaved => Components.Length > 1;

    /// <exception cref="GlipFormatException">Not a scan that the frame allows.</exception>
    public static JpegScan Parse(ReadOnlySpan<byte> content, JpegHeaders headers, DecodeContext context)
    {
        JpegFrame frame = headers.Frame ?? throw context.Corrupt("a scan before the frame header");
        int count = content.IsEmpty ? 0 : content[0];
        if (count is 0 or > 4 || content.Length != 4 + 2 * count)
            throw context.Corrupt($"a scan header of {content.Length} bytes for {count} components");

        ReadOnlySpan<byte> parameters = content[(1 + 2 * count)..];
        (int first, int last, int known, int shift) = (parameters[0], parameters[1], parameters[2] >> 4, parameters[2] & 15);
        if (!frame.Progressive)
        {
            // Encoders are known to leave these fields undefined; sequential scans have only one meaning.
            (first, last, known, shift) = (0, JpegTables.BlockSize - 1, 0, 0);
        }
        else if (last >= JpegTables.BlockSize || first > last || (first == 0 && last != 0) || (first != 0 && count != 1)
            || shift > MaxShift || (known != 0 && known != shift + 1))
        {
            throw context.Corrupt($"a progressive scan of {count} components, coefficients {first} to {last}, bits {known} to {shift}");
        }

        bool needsDc = first == 0 && known == 0;
        bool needsAc = last != 0;
        var components = new JpegScanComponent[count];
        int blocks = 0;
        for (int i = 0; i < count; i++)
        {
            int id = content[1 + 2 * i];
            int tables = content[2 + 2 * i];
            JpegComponent component = Array.Find(frame.Components, c => c.Id == id && !components.Any(used => used.Component == c))
                ?? throw context.Corrupt($"a scan names component {id}, which the frame does not have or the scan has already");
            components[i] = new JpegScanComponent(
                component,
                needsDc ? headers.DcTable(tables >> 4) : null,
                needsAc ? headers.AcTable(tables & 15) : null);
            component.Quantization ??= headers.Quantization(component.QuantizationTableId);
            blocks += component.Horizontal * component.Vertical;
        }

        if (count > 1 && blocks > MaxBlocksPerMcu)
            throw context.Corrupt($"{blocks} blocks in an MCU, the limit is {MaxBlocksPerMcu}");
        return new JpegScan(components, first, last, known, shift);
    }
}
