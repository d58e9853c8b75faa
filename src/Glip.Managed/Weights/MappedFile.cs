using System.IO.MemoryMappedFiles;
using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>A file's bytes as spans, mapped into memory instead of read: opening costs nothing and processes share the pages.</summary>
/// <remarks>The file must not shrink while it is open; the operating system ends the process that then reads past its end.</remarks>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile? _file;
    private readonly MemoryMappedViewAccessor? _view;
    private byte* _start;
    private bool _disposed;

    /// <summary>Maps the file at <paramref name="path"/> for reading.</summary>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public MappedFile(string path)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        Length = stream.Length;
        if (Length == 0)
        {
            // An empty file cannot be mapped, but has no byte to hand out either.
            stream.Dispose();
            return;
        }

        try
        {
            _file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            _view = _file.CreateViewAccessor(0, Length, MemoryMappedFileAccess.Read);
        }
        catch
        {
            _file?.Dispose();
            stream.Dispose();
            throw;
        }

        byte* pointer = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        _start = pointer + _view.PointerOffset;
    }

    /// <summary>Bytes in the file.</summary>
    public long Length { get; }

    /// <summary>The bytes <c>[offset, offset + length)</c>, valid until this object is disposed.</summary>
    public ReadOnlySpan<byte> Slice(long offset, int length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length - length);
        return new ReadOnlySpan<byte>(_start + offset, length);
    }

    /// <summary>The same bytes as memory that does not move, valid until this object is disposed.</summary>
    public FixedMemory Fixed(long offset, int length)
    {
        _ = Slice(offset, length);
        return new FixedMemory(this, _start + offset, length);
    }

    /// <summary>Maps the bytes <c>[offset, offset + length)</c>, at least one, a second time and for themselves.</summary>
    public MappedPart Map(long offset, int length)
    {
        _ = Slice(offset, length);
        return new MappedPart(_file!.CreateViewAccessor(offset, length, MemoryMappedFileAccess.Read), length);
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _start = null;
        if (_view is not null)
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
        }

        _file?.Dispose();
    }
}

/// <summary>A part of a <see cref="MappedFile"/> with pages of its own, given back when it is disposed.</summary>
internal sealed unsafe class MappedPart : IDisposable
{
    private readonly MemoryMappedViewAccessor _view;
    private readonly int _length;
    private byte* _start;

    public MappedPart(MemoryMappedViewAccessor view, int length)
    {
        _view = view;
        _length = length;
        byte* pointer = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        _start = pointer + view.PointerOffset;
    }

    /// <summary>The bytes, valid until this object is disposed.</summary>
    public ReadOnlySpan<byte> Bytes => _start is null ? throw new ObjectDisposedException(nameof(MappedPart)) : new(_start, _length);

    public void Dispose()
    {
        if (_start is null)
            return;
        _start = null;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
    }
}
