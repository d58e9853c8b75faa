namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>Walks the MCUs of a scan and its restart intervals (T.81 E.2.3 to E.2.5); what a block holds is up to the coding process.</summary>
internal abstract class JpegScanDecoder(JpegFrame frame, JpegScan scan)
{
    /// <summary>What is decoded.</summary>
    protected JpegScan Scan => scan;

    /// <summary>Decodes all MCUs.</summary>
    /// <param name="data">The scan's data; afterwards its position is behind what was used.</param>
    /// <param name="restartInterval">MCUs between restart markers, or 0.</param>
    /// <param name="context">Says whether missing data is an error.</param>
    /// <exception cref="GlipFormatException">Data is missing or damaged, and that is not allowed.</exception>
    public void Decode(ref JpegEntropyData data, int restartInterval, DecodeContext context)
    {
        JpegComponent alone = scan.Components[0].Component;
        int mcusWide = scan.IsInterleaved ? frame.McusWide : alone.BlocksWide;
        int mcusHigh = scan.IsInterleaved ? frame.McusHigh : alone.BlocksHigh;
        long mcusBeforeRestart = restartInterval == 0 ? long.MaxValue : restartInterval;
        int restarts = 0;
        JpegBitReader bits = data.NextSegment();
        bool lost = false;
        BeginSegment();
        for (int y = 0; y < mcusHigh; y++)
        {
            for (int x = 0; x < mcusWide; x++)
            {
                if (mcusBeforeRestart-- == 0)
                {
                    mcusBeforeRestart = restartInterval - 1;
                    lost = !Restart(ref data, ref restarts, ref bits, context);
                }

                if (lost)
                {
                    PassOver(x, y);
                    continue;
                }

                // Past the data's end an MCU is made of what there was and of zero bits.
                lost = !DecodeMcu(ref bits, x, y) || bits.Overrun;
                if (lost && !context.Options.AllowTruncated)
                    throw Damage(ref data, bits.Overrun, x, y, context);
            }

            EndRow(y);
        }
    }

    /// <summary>Forgets predictions: at the scan's beginning and after each restart marker.</summary>
    protected abstract void BeginSegment();

    /// <summary>Decodes one MCU.</summary>
    /// <returns>False if the bits are not those of a block.</returns>
    protected abstract bool DecodeMcu(ref JpegBitReader bits, int x, int y);

    /// <summary>An MCU whose data is missing.</summary>
    protected abstract void PassOver(int x, int y);

    /// <summary>After the last MCU of a row.</summary>
    protected abstract void EndRow(int y);

    private bool Restart(ref JpegEntropyData data, ref int restarts, ref JpegBitReader bits, DecodeContext context)
    {
        int expected = restarts++ & 7;
        int found = data.SkipRestartMarker();
        if (found != expected && !context.Options.AllowTruncated)
        {
            throw data.AtEnd
                ? context.Truncated($"the file ends where restart marker {expected} is expected")
                : context.Corrupt($"expected restart marker {expected}, found {(found < 0 ? "another marker" : $"marker {found}")}");
        }

        if (found < 0)
            return false;
        bits = data.NextSegment();
        BeginSegment();
        return true;
    }

    private static GlipFormatException Damage(ref JpegEntropyData data, bool overrun, int x, int y, DecodeContext context) => overrun
        ? context.Truncated($"the data {(data.AtEnd ? "of the file" : "before the next marker")} ends within MCU {x} of row {y}")
        : context.Corrupt($"MCU {x} of row {y} has no valid code");
}
