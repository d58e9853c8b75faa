namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>
/// A picture in the making. If one sequential scan holds all components, its blocks become pixels at once, a row of MCUs
/// at a time; otherwise all coefficients are kept until the last scan.
/// </summary>
internal sealed class JpegPicture
{
    private readonly JpegHeaders _headers;
    private readonly JpegFrame _frame;
    private readonly DecodeContext _context;
    private readonly byte[] _buffer;
    private readonly byte[] _pixels;
    private readonly JpegRowWriter _rows;

    /// <summary>Allocates everything, within the limits.</summary>
    /// <param name="headers">The segments so far.</param>
    /// <param name="firstScan">The first scan, which decides what has to be kept.</param>
    /// <param name="bytesLeft">Bytes of the file behind that scan's header.</param>
    /// <param name="context">Limits and errors.</param>
    public JpegPicture(JpegHeaders headers, JpegScan firstScan, int bytesLeft, DecodeContext context)
    {
        _headers = headers;
        _frame = headers.Frame!;
        _context = context;
        TakesMoreScans = _frame.Progressive || firstScan.Components.Length < _frame.Components.Length;

        // A block takes at least a bit, so a short file that claims a huge picture is caught before allocating.
        long blocks = firstScan.Components.Sum(c => (long)c.Component.BlocksWide * c.Component.BlocksHigh);
        if (blocks > 8L * bytesLeft && !context.Options.AllowTruncated)
            throw context.Truncated($"{bytesLeft} bytes cannot hold a {_frame.Width}x{_frame.Height} picture");

        context.ReservePixels(_frame.Width, _frame.Height);
        if (TakesMoreScans)
        {
            foreach (JpegComponent component in _frame.Components)
                context.Reserve(component.CoefficientBytes, "coefficients");
        }

        context.Reserve(JpegEntropyData.BufferLength(bytesLeft), "coded data");
        _rows = new JpegRowWriter(_frame, JpegColor.Of(headers), _pixels = new byte[_frame.Width * _frame.Height * 3], context);
        _buffer = new byte[JpegEntropyData.BufferLength(bytesLeft)];
        if (TakesMoreScans)
        {
            foreach (JpegComponent component in _frame.Components)
                component.AllocateCoefficients();
        }
    }

    /// <summary>Whether other scans can add to the picture.</summary>
    public bool TakesMoreScans { get; }

    /// <summary>Decodes one scan.</summary>
    /// <returns>Where the file goes on behind it.</returns>
    public int Decode(JpegScan scan, ReadOnlySpan<byte> file, int position, int restartInterval)
    {
        NotePrecision(scan);
        JpegScanDecoder decoder = _frame.Progressive
            ? new JpegProgressiveScan(_frame, scan)
            : new JpegSequentialScan(_frame, scan, TakesMoreScans ? null : _rows);
        var data = new JpegEntropyData(file, position, _buffer);
        decoder.Decode(ref data, restartInterval, _context);
        return data.Position;
    }

    /// <summary>The pixels, turned by the orientation, after the last scan.</summary>
    /// <param name="complete">Whether the file says that no other scan follows; otherwise it must be clear from the scans.</param>
    public DecodedImage Finish(bool complete)
    {
        if (TakesMoreScans)
        {
            if (!_context.Options.AllowTruncated)
                RequireScans(complete);
            TransformAll();
        }

        int orientation = _headers.Orientation;
        if (orientation == 1)
            return new DecodedImage(_frame.Width, _frame.Height, _pixels) { Format = ImageFormat.Jpeg };

        _context.Reserve(_pixels.Length, "turned pixels");
        var turned = new byte[_pixels.Length];
        ExifOrientation.Apply(_pixels, _frame.Width, _frame.Height, orientation, turned);
        (int width, int height) = ExifOrientation.Transposes(orientation) ? (_frame.Height, _frame.Width) : (_frame.Width, _frame.Height);
        return new DecodedImage(width, height, turned) { Format = ImageFormat.Jpeg, Orientation = orientation };
    }

    /// <summary>Keeps account of which bits of which coefficients are known, and refuses scans that do not fit (T.81 G.1.1.1).</summary>
    private void NotePrecision(JpegScan scan)
    {
        foreach (JpegScanComponent part in scan.Components)
        {
            sbyte[] precision = part.Component.Precision;
            if (!_frame.Progressive && precision[0] != JpegComponent.Unknown)
                throw _context.Corrupt($"a second scan of component {part.Component.Id}");
            if (scan.First != 0 && precision[0] == JpegComponent.Unknown && !_context.Options.AllowTruncated)
                throw _context.Corrupt($"component {part.Component.Id} begins with coefficient {scan.First}, expected 0");
            for (int k = scan.First; k <= scan.Last; k++)
            {
                int known = Math.Max(precision[k], (sbyte)0);
                if (known != scan.KnownShift && !_context.Options.AllowTruncated)
                    throw _context.Corrupt($"a scan refines coefficient {k} of component {part.Component.Id} at bit {scan.KnownShift}, expected {known}");
                precision[k] = (sbyte)scan.Shift;
            }
        }
    }

    private void RequireScans(bool complete)
    {
        foreach (JpegComponent component in _frame.Components)
        {
            if (component.Precision[0] == JpegComponent.Unknown)
                throw _context.Truncated($"no scan of component {component.Id}");
            if (!complete && component.Precision.AsSpan().ContainsAnyExcept((sbyte)0))
                throw _context.Truncated("the file ends before the last scan");
        }
    }

    private void TransformAll()
    {
        for (int mcuRow = 0; mcuRow < _frame.McusHigh; mcuRow++)
        {
            foreach (JpegComponent component in _frame.Components)
            {
                component.Quantization ??= new int[JpegTables.BlockSize]; // without a scan it stays gray
                for (int row = mcuRow * component.Vertical; row < (mcuRow + 1) * component.Vertical; row++)
                {
                    for (int column = 0; column < component.PaddedBlocksWide; column++)
                    {
                        ReadOnlySpan<short> block = component.Block(column, row);
                        int last = block[1..].ContainsAnyExcept((short)0) ? JpegTables.BlockSize - 1 : 0;
                        _rows.Transform(component, column, row, block, last);
                    }
                }
            }

            _rows.FinishStrip(mcuRow);
        }
    }
}
