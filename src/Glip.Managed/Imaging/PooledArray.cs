using System.Buffers;

namespace Glip.Managed.Imaging;

/// <summary>An array of the shared pool for the length of a using block; length 0 rents nothing.</summary>
internal readonly struct PooledArray<T>(int length) : IDisposable
{
    private readonly T[]? _array = length == 0 ? null : ArrayPool<T>.Shared.Rent(length);

    public Span<T> Span => _array.AsSpan(0, length);

    public void Dispose()
    {
        if (_array is not null)
            ArrayPool<T>.Shared.Return(_array);
    }
}
