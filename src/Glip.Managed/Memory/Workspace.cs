using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Glip.Managed.Memory;

/// <summary>
/// All activations of one forward pass, in one arena. Buffers are rented and released in any order; the first free gap that fits is taken, so the
/// same sequence always gets the same addresses.
/// </summary>
/// <remarks>
/// A <em>planning</em> workspace hands out spans without memory and only measures the arena that the sequence needs. Running the forward pass
/// on it, with kernels that do nothing, is the plan: it cannot drift from the code.
/// </remarks>
internal sealed class Workspace : IDisposable
{
    // One cache line, and the widest vector.
    private const int Alignment = 16;

    /// <summary>Most floats that a workspace can hold: an array's length.</summary>
    public static long MaxFloats => Array.MaxLength - Alignment;

    private readonly MemoryPool<float>? _pool;
    private readonly List<(long Offset, long Length)> _used = [];
    private IMemoryOwner<float>? _owner;
    private MemoryHandle _pin;
    private Memory<float> _arena;
    private long _recentPeakFloats;

    private Workspace(MemoryPool<float>? pool) => _pool = pool;

    /// <summary>An empty workspace for real work; see <see cref="Reserve"/>.</summary>
    /// <param name="pool">Where the arena comes from; null for the garbage collector's pinned heap.</param>
    public static Workspace Create(MemoryPool<float>? pool = null) => new(pool ?? PinnedMemoryPool.Instance);

    /// <summary>A workspace that only measures.</summary>
    public static Workspace CreatePlanning() => new(pool: null);

    /// <summary>Floats of the arena that all rentals so far needed.</summary>
    public long PeakFloats { get; private set; }

    /// <summary>Floats that the arena holds.</summary>
    public int Capacity => _arena.Length;

    /// <summary>Buffers that are rented at the moment.</summary>
    public int Rented => _used.Count;

    /// <summary>Makes room for a plan's <see cref="PeakFloats"/>. Nothing may be rented. A smaller arena goes back to its pool first.</summary>
    /// <exception cref="InvalidOperationException">The workspace is in use, or the pool gives less than is needed.</exception>
    public void Reserve(long floats)
    {
        if (_used.Count != 0)
            throw new InvalidOperationException("the workspace is in use");
        if (floats <= Capacity)
            return;
        Dispose();
        int needed = checked((int)(floats + Alignment));
        if (needed > _pool!.MaxBufferSize)
            throw new InvalidOperationException($"the call needs {needed} floats of workspace, the memory pool gives {_pool.MaxBufferSize} at most");
        _owner = _pool.Rent(needed);
        try
        {
            Memory<float> memory = _owner.Memory;
            if (memory.Length < needed)
                throw new InvalidOperationException($"the memory pool was asked for {needed} floats of workspace and gave {memory.Length}");
            _pin = memory.Pin();
            _arena = memory.Slice(FirstAligned(), (int)floats);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Gives the arena back; the workspace is empty again.</summary>
    public void Dispose()
    {
        _arena = default;
        _pin.Dispose();
        _pin = default;
        _owner?.Dispose();
        _owner = null;
    }

    /// <summary>Memory for <paramref name="floats"/> values, with undefined contents; dispose the buffer to release it.</summary>
    public WorkspaceBuffer Rent(int floats)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(floats);
        long length = Math.Max(1, (floats + Alignment - 1L) / Alignment) * Alignment;
        long offset = 0;
        int index = 0;
        for (; index < _used.Count && _used[index].Offset - offset < length; index++)
            offset = _used[index].Offset + _used[index].Length;
        PeakFloats = Math.Max(PeakFloats, offset + length);
        _recentPeakFloats = Math.Max(_recentPeakFloats, offset + length);
        if (_pool is not null && offset + length > Capacity)
            throw new InvalidOperationException($"the forward pass needs {offset + length} floats of workspace, its plan said {Capacity}");
        _used.Insert(index, (offset, length));
        Span<float> span = _pool is null
            ? MemoryMarshal.CreateSpan(ref Unsafe.NullRef<float>(), floats)
            : _arena.Span.Slice((int)offset, floats);
        return new WorkspaceBuffer(this, offset, span);
    }

    /// <summary>Floats of the arena that were in use at most since the last time this was asked.</summary>
    public long TakeRecentPeakFloats()
    {
        long peak = _recentPeakFloats;
        _recentPeakFloats = _used.Count == 0 ? 0 : _used[^1].Offset + _used[^1].Length;
        return peak;
    }

    /// <summary>Forgets all rentals, after a pass that was cut short.</summary>
    public void Reset() => _used.Clear();

    /// <summary>Floats of the pinned memory in front of its first cache line.</summary>
    private unsafe int FirstAligned() => (int)((Alignment - ((nuint)_pin.Pointer / sizeof(float) % Alignment)) % Alignment);

    internal void Release(long offset)
    {
        // Few buffers live at once, the newest at the end more often than not. After Reset there may be nothing to find.
        for (int i = _used.Count - 1; i >= 0; i--)
        {
            if (_used[i].Offset != offset)
                continue;
            _used.RemoveAt(i);
            return;
        }
    }
}

/// <summary>A rented piece of a <see cref="Workspace"/>.</summary>
internal readonly ref struct WorkspaceBuffer(Workspace owner, long offset, Span<float> span)
{
    /// <summary>The memory.</summary>
    public Span<float> Span { get; } = span;

    /// <summary>Gives the memory back.</summary>
    public void Dispose() => owner.Release(offset);

    /// <summary>The memory, where a span is expected.</summary>
    public static implicit operator Span<float>(WorkspaceBuffer buffer) => buffer.Span;

    /// <summary>The memory, where a read-only span is expected.</summary>
    public static implicit operator ReadOnlySpan<float>(WorkspaceBuffer buffer) => buffer.Span;
}
