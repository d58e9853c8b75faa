namespace Glip.Managed.Postprocessing;

/// <summary>Logits of some of a level's cells, in their order.</summary>
internal readonly ref struct AtssLogits
{
    /// <summary>The first of the cells.</summary>
    public required int FirstCell { get; init; }

    /// <summary>How many there are.</summary>
    public required int Cells { get; init; }

    /// <summary>[cells, <see cref="Tokens"/>], before the sigmoid; a row begins every <see cref="Stride"/> elements.</summary>
    public required ReadOnlySpan<float> Values { get; init; }

    /// <summary>Tokens that have logits.</summary>
    public required int Tokens { get; init; }

    /// <summary>Elements from one cell's logits to the next cell's; at least <see cref="Tokens"/>.</summary>
    public required int Stride { get; init; }

    /// <summary>The logits of the <paramref name="index"/>th of these cells.</summary>
    public ReadOnlySpan<float> At(int index) => Values.Slice(index * Stride, Tokens);
}
