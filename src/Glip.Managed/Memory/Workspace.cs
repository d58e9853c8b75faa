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
internal sealed class Workspace
{
    // One cache line, and the widest vector.
    private const int Alignment = 16;

    /// <summary>Most floats that a workspace can hold: an array's length.</summary>
    public static long MaxFloats => Array.MaxLength - Alignment;

    private readonly bool _planning;
    private readonly List<(long Offset, long Length)> _used = [];
    private float[] _arena = [];
    private int _arenaStart;
    private int _arenaFloats;
    private long _recentPeakFloats;

    private Workspace(bool planning) => _planning = planning;

    /// <summary>An empty workspace for real work; see <see cref="Reserve"/>.</summary>
    public static Workspace Create() => new(planning: false);

    /// <summary>A workspace that only measures.</summary>
    public static Workspace CreatePlanning() => new(planning: true);

    /// <summary>Floats of the arena that all rentals so far needed.</summary>
    public long PeakFloats { get; private set; }

    /// <summary>Floats that the arena holds.</summary>
    public int Capacity => _arenaFloats;

    /// <summary>Buffers that are rented at the moment.</summary>
    public int Rented => _used.Count;

    /// <summary>Makes room for a plan's <see cref="PeakFloats"/>. Nothing may be rented.</summary>
    public void Reserve(long floats)
    {
        if (_used.Count != 0)
            throw new InvalidOperationException("the workspace is in use");
        if (floats <= _arenaFloats)
            return;
        _arena = GC.AllocateUninitializedArray<float>(checked((int)(floats + Alignment)), pinned: true);
        _arenaFloats = (int)floats;
        long misaligned = Marshal.UnsafeAddrOfPinnedArrayElement(_arena, 0) / sizeof(float) % Alignment;
        _arenaStart = (int)((Alignment - misaligned) % Alignment);
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
        if (!_planning && offset + length > _arenaFloats)
            throw new InvalidOperationException($"the forward pass needs {offset + length} floats of workspace, its plan said {_arenaFloats}");
        _used.Insert(index, (offset, length));
        Span<float> span = _planning
            ? MemoryMarshal.CreateSpan(ref Unsafe.NullRef<float>(), floats)
            : _arena.AsSpan(_arenaStart + (int)offset, floats);
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
