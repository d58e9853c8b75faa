namespace Glip.Managed.Postprocessing;

/// <summary>The head's output on one pyramid level, row-major over cells: <c>cell = y · Width + x</c>.</summary>
internal readonly ref struct AtssLevel
{
    /// <summary>Rows of the map.</summary>
    public required int Height { get; init; }

    /// <summary>Columns of the map.</summary>
    public required int Width { get; init; }

    /// <summary>Pixels of the resized image a cell.</summary>
    public required int Stride { get; init; }

    /// <summary>[cells, 4]: centre x, centre y, log width, log height, as <see cref="BoxCoder"/> takes them.</summary>
    public required ReadOnlySpan<float> BoxDeltas { get; init; }

    /// <summary>[cells], before the sigmoid.</summary>
    public required ReadOnlySpan<float> Centerness { get; init; }

    /// <summary>Height · Width.</summary>
    public int Cells => Height * Width;
}
