namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>One component of a frame: its sampling, its coefficients if they are kept, and its latest two strips of samples.</summary>
internal sealed class JpegComponent(int id, int horizontal, int vertical, int tableId)
{
    /// <summary>Samples of a block's side.</summary>
    public const int BlockSide = 8;

    /// <summary>Coefficient not sent yet, in <see cref="Precision"/>.</summary>
    public const sbyte Unknown = -1;

    public int Id => id;

    /// <summary>Blocks of an MCU across.</summary>
    public int Horizontal => horizontal;

    /// <summary>Blocks of an MCU down.</summary>
    public int Vertical => vertical;

    public int QuantizationTableId => tableId;

    /// <summary>Columns of samples that belong to the picture.</summary>
    public int Width { get; private set; }

    /// <summary>Rows of samples that belong to the picture.</summary>
    public int Height { get; private set; }

    /// <summary>Blocks that hold them, across and down: what a scan of this component alone codes.</summary>
    public int BlocksWide { get; private set; }

    public int BlocksHigh { get; private set; }

    /// <summary>Blocks across and down with those that fill up MCUs.</summary>
    public int PaddedBlocksWide { get; private set; }

    public int PaddedBlocksHigh { get; private set; }

    /// <summary>Quantization steps, row-major, as they were defined when the component's first scan began; null before.</summary>
    public int[]? Quantization { get; set; }

    /// <summary>All coefficients, blocks row by row; null if blocks become samples at once.</summary>
    public short[]? Coefficients { get; private set; }

    /// <summary>For each coefficient in coding order how many low bits are still unknown, or <see cref="Unknown"/>.</summary>
    public sbyte[] Precision { get; } = Enumerable.Repeat(Unknown, JpegTables.BlockSize).ToArray();

    /// <summary>The DC value that the next difference is added to.</summary>
    public int DcPrediction { get; set; }

    /// <summary>Bytes from one row of samples to the next.</summary>
    public int Stride => PaddedBlocksWide * BlockSide;

    /// <summary>Rows of samples in one strip, that is one row of MCUs.</summary>
    public int StripRows => vertical * BlockSide;

    /// <summary>The strips of two rows of MCUs; even ones are in the first half.</summary>
    public byte[] Samples { get; private set; } = [];

    public long CoefficientBytes => (long)PaddedBlocksWide * PaddedBlocksHigh * JpegTables.BlockSize * sizeof(short);

    public long SampleBytes => 2L * StripRows * Stride;

    public void SetSize(int width, int height, int mcusWide, int mcusHigh)
    {
        Width = width;
        Height = height;
        BlocksWide = (width + BlockSide - 1) / BlockSide;
        BlocksHigh = (height + BlockSide - 1) / BlockSide;
        PaddedBlocksWide = mcusWide * horizontal;
        PaddedBlocksHigh = mcusHigh * vertical;
    }

    public void AllocateCoefficients() => Coefficients = new short[CoefficientBytes / sizeof(short)];

    public void AllocateSamples() => Samples = new byte[SampleBytes];

    /// <summary>The kept coefficients of one block, row-major.</summary>
    public Span<short> Block(int column, int row) =>
        Coefficients.AsSpan((row * PaddedBlocksWide + column) * JpegTables.BlockSize, JpegTables.BlockSize);

    /// <summary>Row <paramref name="y"/> of the samples, which must be in one of the latest two strips.</summary>
    public ReadOnlySpan<byte> Row(int y) => Samples.AsSpan(y % (2 * StripRows) * Stride, Width);

    /// <summary>The samples from the top left corner of a block on.</summary>
    public Span<byte> BlockSamples(int column, int row) =>
        Samples.AsSpan(row % (2 * vertical) * BlockSide * Stride + column * BlockSide);
}
