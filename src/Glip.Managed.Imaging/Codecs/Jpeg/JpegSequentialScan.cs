namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>Sequential blocks (T.81 F.2): complete ones, which become samples at once or are kept if other scans must come first.</summary>
internal sealed class JpegSequentialScan(JpegFrame frame, JpegScan scan, JpegRowWriter? rows) : JpegScanDecoder(frame, scan)
{
    private readonly short[] _block = new short[JpegTables.BlockSize];

    protected override void BeginSegment()
    {
        foreach (JpegScanComponent part in Scan.Components)
            part.Component.DcPrediction = 0;
    }

    protected override bool DecodeMcu(ref JpegBitReader bits, int x, int y)
    {
        bool valid = true;
        foreach (JpegScanComponent part in Scan.Components)
        {
            JpegComponent component = part.Component;
            int across = Scan.IsInterleaved ? component.Horizontal : 1;
            int down = Scan.IsInterleaved ? component.Vertical : 1;
            for (int v = 0; v < down; v++)
            {
                for (int h = 0; h < across; h++)
                {
                    int column = x * across + h;
                    int row = y * down + v;
                    if (rows is null)
                    {
                        if (!valid || DecodeBlock(ref bits, part, component.Block(column, row)) < 0)
                            return false;
                        continue;
                    }

                    Array.Clear(_block);
                    int last = 0;
                    if (valid)
                    {
                        last = DecodeBlock(ref bits, part, _block);
                        valid = last >= 0;
                    }

                    rows.Transform(component, column, row, _block, valid ? last : JpegTables.BlockSize - 1);
                }
            }
        }

        return valid;
    }

    protected override void PassOver(int x, int y)
    {
        if (rows is null)
            return;
        Array.Clear(_block);
        foreach (JpegScanComponent part in Scan.Components)
        {
            JpegComponent component = part.Component;
            for (int v = 0; v < component.Vertical; v++)
            {
                for (int h = 0; h < component.Horizontal; h++)
                    rows.Transform(component, x * component.Horizontal + h, y * component.Vertical + v, _block, last: 0);
            }
        }
    }

    protected override void EndRow(int y) => rows?.FinishStrip(y);

    /// <summary>Decodes one block into zeros.</summary>
    /// <returns>The last coefficient that may be other than 0, in coding order; -1 if the bits are not those of a block.</returns>
    private static int DecodeBlock(ref JpegBitReader source, JpegScanComponent part, Span<short> block)
    {
        JpegBitReader bits = source; // a local copy stays in registers
        bits.Refill();
        int entry = part.Dc!.Find(bits.Bits);
        if (entry == 0)
            return -1;
        bits.Skip(entry >> 8);
        int size = entry & 0xFF;
        if (size != 0)
            part.Component.DcPrediction += bits.TakeSigned(size);
        block[0] = (short)part.Component.DcPrediction;

        JpegHuffmanTable ac = part.Ac!;
        ReadOnlySpan<int> coefficients = ac.Coefficients;
        ReadOnlySpan<byte> zigZag = JpegTables.ZigZag;
        int last = 0;
        for (int k = 1; k < JpegTables.BlockSize; k++)
        {
            bits.RefillIfBelow(32);
            entry = coefficients[(int)(bits.Bits >> (64 - JpegHuffmanTable.LookaheadBits))];
            int value;
            if (entry != 0)
            {
                bits.Skip(entry & 0xFF);
                int run = (entry >> 8) & 0xFF;
                if (JpegHuffmanTable.EndsBlock(run))
                    break;
                k += run;
                value = entry >> 16;
            }
            else
            {
                entry = ac.Find(bits.Bits);
                bits.Skip(entry >> 8);
                size = entry & 15;
                int run = (entry >> 4) & 15;
                if (size == 0)
                {
                    if (entry != 0 && run == 0)
                        break;
                    if (run != 15)
                    {
                        last = -1;
                        break;
                    }
                }

                k += run;
                value = size == 0 ? 0 : bits.TakeSigned(size);
            }

            if (k >= JpegTables.BlockSize)
            {
                last = -1;
                break;
            }

            block[zigZag[k]] = (short)value;
            last = k;
        }

        source = bits;
        return last;
    }
}
