namespace Glip.Managed.Postprocessing;

/// <summary>A label at a cell, by rank: class probability times centerness.</summary>
internal readonly record struct Ranked(float Rank, float Probability, int Cell, int Label);

/// <summary>Keeps the best of a stream of ranked entries. Equal ranks go by place: the lower cell wins, then the lower label.</summary>
/// <remarks>Gathers up to twice the wanted number, then sorts and drops the worse half; later entries must beat the rest.</remarks>
internal sealed class TopRanked
{
    private static readonly Comparison<Ranked> ByRankThenPlace = static (a, b) =>
    {
        int order = b.Rank.CompareTo(a.Rank);
        if (order == 0)
            order = a.Cell.CompareTo(b.Cell);
        return order != 0 ? order : a.Label.CompareTo(b.Label);
    };

    private Ranked[] _entries = [];
    private int _count;
    private int _wanted;

    /// <summary>A rank that an entry must exceed to be kept; negative infinity as long as there is room.</summary>
    public float ToBeat { get; private set; }

    /// <summary>Starts anew.</summary>
    /// <param name="wanted">How many to keep; at least 1.</param>
    public void Reset(int wanted)
    {
        _wanted = wanted;
        _count = 0;
        ToBeat = float.NegativeInfinity;
    }

    /// <summary>Offers an entry. Entries must come in ascending place: a later one never wins a tie. A NaN rank is never kept.</summary>
    public void Offer(in Ranked entry)
    {
        if (_count >= 2L * _wanted)
            Trim();
        if (!(entry.Rank > ToBeat))
            return;
        if (_count == _entries.Length)
            Array.Resize(ref _entries, (int)Math.Min(Math.Max(256L, 2L * _count), Math.Min(2L * _wanted, Array.MaxLength)));
        _entries[_count++] = entry;
    }

    /// <summary>The kept entries, in no particular order. Valid until the next <see cref="Offer"/> or <see cref="Reset"/>.</summary>
    public ReadOnlySpan<Ranked> Take()
    {
        if (_count > _wanted)
            Trim();
        return _entries.AsSpan(0, _count);
    }

    private void Trim()
    {
        _entries.AsSpan(0, _count).Sort(ByRankThenPlace);
        _count = _wanted;
        ToBeat = _entries[_wanted - 1].Rank;
    }
}
