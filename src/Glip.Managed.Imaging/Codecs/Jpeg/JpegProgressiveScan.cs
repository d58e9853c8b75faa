namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>Progressive blocks (T.81 G.1.2 and G.2): each scan adds coefficients, or one more bit of them, to those that are kept.</summary>
internal sealed class JpegProgressiveScan(JpegFrame frame, JpegScan scan) : JpegScanDecoder(frame, scan)
{
    // Blocks to come in which the band has nothing new, this one included.
    private int _endOfBandRun;

    protected override void BeginSegment()
    {
        _endOfBandRun = 0;
        foreach (JpegScanComponent part in Scan.Components)
            part.Component.DcPrediction = 0;
    }

    protected override bool DecodeMcu(ref JpegBitReader bits, int x, int y)
    {
        foreach (JpegScanComponent part in Scan.Components)
        {
            int across = Scan.IsInterleaved ? part.Component.Horizontal : 1;
            int down = Scan.IsInterleaved ? part.Component.Vertical : 1;
            for (int v = 0; v < down; v++)
            {
                for (int h = 0; h < across; h++)
                {
                    if (!DecodeBlock(ref bits, part, part.Component.Block(x * across + h, y * down + v)))
                        return false;
                }
            }
        }

        return true;
    }

    protected override void PassOver(int x, int y)
    {
    }

    protected override void EndRow(int y)
    {
    }

    private bool DecodeBlock(ref JpegBitReader bits, JpegScanComponent part, Span<short> block)
    {
        if (Scan.First != 0)
            return Scan.KnownShift == 0 ? FirstBand(ref bits, part.Ac!, block) : RefineBand(ref bits, part.Ac!, block);
        if (Scan.KnownShift != 0)
        {
            if (bits.TakeBit())
                block[0] |= (short)(1 << Scan.Shift);
            return true;
        }

        bits.Refill();
        int entry = part.Dc!.Find(bits.Bits);
        if (entry == 0)
            return false;
        bits.Skip(entry >> 8);
        int size = entry & 0xFF;
        if (size != 0)
            part.Component.DcPrediction += bits.TakeSigned(size);
        block[0] = (short)(part.Component.DcPrediction << Scan.Shift);
        return true;
    }

    /// <summary>The first bits of the coefficients of a band (G.1.2.2).</summary>
    private bool FirstBand(ref JpegBitReader source, JpegHuffmanTable table, Span<short> block)
    {
        if (_endOfBandRun > 0)
        {
            _endOfBandRun--;
            return true;
        }

        JpegBitReader bits = source;
        ReadOnlySpan<byte> zigZag = JpegTables.ZigZag;
        int last = Scan.Last;
        for (int k = Scan.First; k <= last; k++)
        {
            bits.RefillIfBelow(32);
            int entry = table.Find(bits.Bits);
            if (entry == 0)
                return false;
            bits.Skip(entry >> 8);
            int run = (entry >> 4) & 15;
            int size = entry & 15;
            if (size == 0 && run < 15)
            {
                _endOfBandRun = EndOfBandRun(ref bits, run) - 1;
                break;
            }

            k += run;
            if (size == 0)
                continue;
            if (k > last)
                return false;
            block[zigZag[k]] = (short)(bits.TakeSigned(size) << Scan.Shift);
        }

        source = bits;
        return true;
    }

    /// <summary>One more bit of the coefficients of a band, and the new ones among them (G.1.2.3).</summary>
    private bool RefineBand(ref JpegBitReader source, JpegHuffmanTable table, Span<short> block)
    {
        JpegBitReader bits = source;
        ReadOnlySpan<byte> zigZag = JpegTables.ZigZag;
        int bit = 1 << Scan.Shift;
        int last = Scan.Last;
        int k = Scan.First;
        while (_endOfBandRun == 0 && k <= last)
        {
            bits.RefillIfBelow(32);
            int entry = table.Find(bits.Bits);
            if (entry == 0)
                return false;
            bits.Skip(entry >> 8);
            int run = (entry >> 4) & 15;
            int size = entry & 15;
            if (size == 0 && run < 15)
            {
                _endOfBandRun = EndOfBandRun(ref bits, run);
                break;
            }

            if (size > 1)
                return false;
            int value = size == 0 ? 0 : bits.Take(1) != 0 ? bit : -bit;

            // The run counts coefficients that are still 0; the others on the way get their bit.
            for (; k <= last; k++)
            {
                ref short coefficient = ref block[zigZag[k]];
                if (coefficient != 0)
                    Refine(ref bits, ref coefficient, bit);
                else if (run-- == 0)
                    break;
            }

            if (value != 0)
            {
                if (k > last)
                    return false;
                block[zigZag[k]] = (short)value;
            }

            k++;
        }

        if (_endOfBandRun > 0)
        {
            for (; k <= last; k++)
            {
                ref short coefficient = ref block[zigZag[k]];
                if (coefficient != 0)
                    Refine(ref bits, ref coefficient, bit);
            }

            _endOfBandRun--;
        }

        source = bits;
        return true;
    }

    private static void Refine(ref JpegBitReader bits, ref short coefficient, int bit)
    {
        if (bits.TakeBit() && (coefficient & bit) == 0)
            coefficient += (short)(coefficient > 0 ? bit : -bit);
    }

    /// <summary>How many blocks end here: 2 to the power <paramref name="size"/>, and as many bits more.</summary>
    private static int EndOfBandRun(ref JpegBitReader bits, int size) => (1 << size) + (size == 0 ? 0 : bits.Take(size));
}
