namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>
/// From blocks to pixels, one row of MCUs after the other: blocks become samples in the components' strips, and rows of
/// pixels are made as soon as the rows below, that the filter down looks at, are there too.
/// </summary>
internal sealed class JpegRowWriter
{
    // The filter across, alone: sums of 1 sample, four of them; after the filter down: sums of 4 samples, sixteen of them.
    private const int AcrossEvenBias = 1;
    private const int AcrossOddBias = 2;
    private const int AcrossShift = 2;
    private const int BothEvenBias = 8;
    private const int BothOddBias = 7;
    private const int BothShift = 4;

    private const int NarrowestFiltered = 3;

    private readonly JpegFrame _frame;
    private readonly JpegColorSpace _space;
    private readonly byte[] _pixels;
    private readonly ushort[] _sums;
    private readonly byte[][] _upsampled;
    private readonly int[] _workspace = new int[JpegTables.BlockSize];
    private int _nextRow;

    /// <summary>Allocates strips and row buffers within the memory limit.</summary>
    public JpegRowWriter(JpegFrame frame, JpegColorSpace space, byte[] pixels, DecodeContext context)
    {
        _frame = frame;
        _space = space;
        _pixels = pixels;
        foreach (JpegComponent component in frame.Components)
        {
            context.Reserve(component.SampleBytes, "samples");
            component.AllocateSamples();
        }

        int widest = frame.Components.Max(c => c.Width);
        int upsampledBytes = frame.Width + 1; // pairs may end behind the row
        context.Reserve((widest + 2) * sizeof(ushort) + (long)frame.Components.Length * upsampledBytes, "rows");
        _sums = new ushort[widest + 2];
        _upsampled = new byte[frame.Components.Length][];
        for (int i = 0; i < _upsampled.Length; i++)
            _upsampled[i] = new byte[upsampledBytes];
    }

    /// <summary>Makes samples of the block at the given place.</summary>
    /// <param name="component">Whose block it is.</param>
    /// <param name="column">Blocks to the left.</param>
    /// <param name="row">Blocks above.</param>
    /// <param name="block">Coefficients, row-major.</param>
    /// <param name="last">The last of them in coding order that may be other than 0.</param>
    public void Transform(JpegComponent component, int column, int row, ReadOnlySpan<short> block, int last) =>
        JpegIdct.Transform(block, component.Quantization, last, component.BlockSamples(column, row), component.Stride, _workspace);

    /// <summary>Writes the pixels that are possible once row <paramref name="mcuRow"/> of MCUs is transformed.</summary>
    public void FinishStrip(int mcuRow)
    {
        // The last rows may need the samples below them.
        int end = mcuRow == _frame.McusHigh - 1
            ? _frame.Height
            : ((mcuRow + 1) * JpegComponent.BlockSide - 1) * _frame.MaxVertical;
        for (; _nextRow < end; _nextRow++)
            WriteRow(_nextRow);
    }

    private void WriteRow(int y)
    {
        int width = _frame.Width;
        ReadOnlySpan<byte> c0 = UpsampledRow(0, y)[..width];
        ReadOnlySpan<byte> c1 = [];
        ReadOnlySpan<byte> c2 = [];
        ReadOnlySpan<byte> c3 = [];
        if (_upsampled.Length >= 3)
        {
            c1 = UpsampledRow(1, y)[..width];
            c2 = UpsampledRow(2, y)[..width];
        }

        if (_upsampled.Length == 4)
            c3 = UpsampledRow(3, y)[..width];
        JpegColor.ToRgb(_space, c0, c1, c2, c3, _pixels.AsSpan(y * width * 3, width * 3));
    }

    /// <summary>Row <paramref name="y"/> of a component at the picture's size; it may be longer than the picture is wide.</summary>
    private ReadOnlySpan<byte> UpsampledRow(int index, int y)
    {
        JpegComponent component = _frame.Components[index];
        bool sameAcross = component.Horizontal == _frame.MaxHorizontal;
        bool sameDown = component.Vertical == _frame.MaxVertical;
        if (sameAcross && sameDown)
            return component.Row(y);

        byte[] upsampled = _upsampled[index];
        bool halfAcross = 2 * component.Horizontal == _frame.MaxHorizontal && component.Width >= NarrowestFiltered;
        bool halfDown = 2 * component.Vertical == _frame.MaxVertical;
        if (halfAcross && sameDown)
        {
            JpegUpsampling.Widen(component.Row(y), _sums.AsSpan(1));
            JpegUpsampling.Spread(PaddedSums(component.Width), AcrossEvenBias, AcrossOddBias, AcrossShift, upsampled);
        }
        else if (halfDown && (halfAcross || sameAcross))
        {
            int near = y / 2;
            int far = Math.Clamp((y & 1) == 0 ? near - 1 : near + 1, 0, component.Height - 1);
            JpegUpsampling.Blend(component.Row(near), component.Row(far), _sums.AsSpan(1));
            if (halfAcross)
                JpegUpsampling.Spread(PaddedSums(component.Width), BothEvenBias, BothOddBias, BothShift, upsampled);
            else
                JpegUpsampling.Narrow(_sums.AsSpan(1, component.Width), (y & 1) == 0 ? 1 : 2, upsampled);
        }
        else
        {
            ReadOnlySpan<byte> row = component.Row(y * component.Vertical / _frame.MaxVertical);
            JpegUpsampling.Repeat(row, component.Horizontal, _frame.MaxHorizontal, upsampled.AsSpan(0, _frame.Width));
        }

        return upsampled;
    }

    /// <summary>The sums of a row with the outermost repeated.</summary>
    private ReadOnlySpan<ushort> PaddedSums(int count)
    {
        _sums[0] = _sums[1];
        _sums[count + 1] = _sums[count];
        return _sums.AsSpan(0, count + 2);
    }
}
