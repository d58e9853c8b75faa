namespace Glip.Managed.Memory;

/// <summary>
/// What the text encoder made of recent prompts, by their tokens, for all sessions of a detector. The least recently used go first when the limit is
/// reached. A hit allocates nothing.
/// </summary>
/// <remarks>
/// Kept is the encoder's output alone, which depends on nothing but the tokens; what is added to it afterwards, as for a tuned prompt, needs no key of its
/// own. Two calls that miss the same text at the same time both compute it, to the same bits, and one of the results is kept.
/// </remarks>
/// <param name="maxBytes">Limit on what is kept; 0 keeps nothing.</param>
internal sealed class TextCache(long maxBytes)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<TokenKey, LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _latestFirst = [];

    /// <summary>What is kept, tokens included.</summary>
    public long Bytes { get; private set; }

    /// <summary>Texts that are kept.</summary>
    public int Count => _entries.Count;

    /// <summary>Texts that were asked for and found.</summary>
    public long Hits { get; private set; }

    /// <summary>Texts that were asked for and not found.</summary>
    public long Misses { get; private set; }

    /// <summary>Copies the hidden states of <paramref name="ids"/> into <paramref name="hidden"/> [L, C] if they are kept.</summary>
    public bool TryGet(ReadOnlyMemory<int> ids, Span<float> hidden)
    {
        float[] found;
        lock (_lock)
        {
            if (!_entries.TryGetValue(new TokenKey(ids), out LinkedListNode<Entry>? node))
            {
                Misses++;
                return false;
            }

            Hits++;
            _latestFirst.Remove(node);
            _latestFirst.AddFirst(node);
            found = node.Value.Hidden;
        }

        // Nobody writes to a kept array, so the copy needs no lock.
        found.CopyTo(hidden);
        return true;
    }

    /// <summary>Keeps a copy of <paramref name="hidden"/> [L, C], the hidden states of <paramref name="ids"/>, unless it alone is over the limit.</summary>
    /// <param name="ids">Tokens; must never change.</param>
    /// <param name="hidden">Their hidden states.</param>
    public void Add(ReadOnlyMemory<int> ids, ReadOnlySpan<float> hidden)
    {
        long bytes = (ids.Length * (long)sizeof(int)) + (hidden.Length * (long)sizeof(float));
        if (bytes > maxBytes)
            return;
        var entry = new Entry(ids, hidden.ToArray(), bytes);
        lock (_lock)
        {
            var key = new TokenKey(ids);
            if (_entries.ContainsKey(key))
                return;
            _entries.Add(key, _latestFirst.AddFirst(entry));
            Bytes += bytes;
            while (Bytes > maxBytes)
            {
                Entry oldest = _latestFirst.Last!.Value;
                _latestFirst.RemoveLast();
                _ = _entries.Remove(new TokenKey(oldest.Ids));
                Bytes -= oldest.Bytes;
            }
        }
    }

    private sealed record Entry(ReadOnlyMemory<int> Ids, float[] Hidden, long Bytes);

    /// <summary>Tokens, compared one by one.</summary>
    private readonly struct TokenKey(ReadOnlyMemory<int> ids) : IEquatable<TokenKey>
    {
        private readonly ReadOnlyMemory<int> _ids = ids;

        public bool Equals(TokenKey other) => _ids.Span.SequenceEqual(other._ids.Span);

        public override bool Equals(object? obj) => obj is TokenKey other && Equals(other);

        public override int GetHashCode()
        {
            var hash = default(HashCode);
            foreach (int id in _ids.Span)
                hash.Add(id);
            return hash.ToHashCode();
        }
    }
}
