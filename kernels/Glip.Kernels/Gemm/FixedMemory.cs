namespace Glip.Kernels;

/// <summary>Memory that does not move, and whoever keeps it alive: a pinned array, pages of a mapped file, memory outside the garbage collector's heap.</summary>
public readonly unsafe struct FixedMemory
{
    /// <summary>Bytes of a cache line, to which everything packed is aligned: vectors that straddle lines cost two accesses each.</summary>
    public const int LineBytes = 64;

    private readonly object _owner;
    private readonly byte* _address;

    /// <summary>Describes memory that is there already.</summary>
    /// <param name="owner">Keeps it alive and in place for as long as it is reachable.</param>
    /// <param name="address">First byte.</param>
    /// <param name="length">Bytes.</param>
    public FixedMemory(object owner, byte* address, long length)
    {
        ArgumentNullException.ThrowIfNull(owner);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        _owner = owner;
        _address = address;
        Length = length;
    }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>The first byte. Who uses it ends with <see cref="GC.KeepAlive"/> of this memory's holder.</summary>
    internal byte* Address => _address;

    /// <summary>A pinned array's memory, zeros, beginning at a cache line.</summary>
    public static FixedMemory Pinned(long length)
    {
        byte[] array = GC.AllocateArray<byte>(checked((int)length + LineBytes), pinned: true);
        fixed (byte* start = array)
            return new FixedMemory(array, (byte*)(((nuint)start + LineBytes - 1) & ~(nuint)(LineBytes - 1)), length);
    }

    /// <summary><paramref name="bytes"/> filled up to whole cache lines.</summary>
    public static long WholeLines(long bytes) => (bytes + LineBytes - 1) / LineBytes * LineBytes;

    /// <summary>A part of this memory, with the same owner.</summary>
    public FixedMemory Slice(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length - length);
        return new FixedMemory(_owner, _address + offset, length);
    }

    /// <summary>The elements; valid for as long as the owner lives.</summary>
    public Span<T> Span<T>()
        where T : unmanaged => new(_address, checked((int)(Length / sizeof(T))));
}
