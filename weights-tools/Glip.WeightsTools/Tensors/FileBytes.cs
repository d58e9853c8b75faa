using Glip.Managed;
using Microsoft.Win32.SafeHandles;

namespace Glip.WeightsTools.Tensors;

/// <summary>
/// A file's bytes by position. Read, not mapped: the pages of a mapped checkpoint would count as this process's memory, gigabytes of it.
/// </summary>
internal sealed class FileBytes : IDisposable
{
    private readonly SafeFileHandle _file;

    /// <summary>Opens a file for reading.</summary>
    /// <exception cref="IOException">It cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not read it.</exception>
    public FileBytes(string path)
    {
        Path = System.IO.Path.GetFullPath(path);
        _file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        Length = RandomAccess.GetLength(_file);
    }

    /// <summary>The file's full path, for messages.</summary>
    public string Path { get; }

    /// <summary>Bytes in the file.</summary>
    public long Length { get; }

    /// <summary>Fills <paramref name="destination"/> with the bytes from <paramref name="offset"/> on.</summary>
    /// <exception cref="GlipFormatException">The file ends before.</exception>
    public void Read(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > Length - destination.Length)
            throw new GlipFormatException($"{Path}: truncated: expected {destination.Length} bytes at byte {offset}, the file has {Length}");
        while (!destination.IsEmpty)
        {
            int count = RandomAccess.Read(_file, destination, offset);
            if (count == 0)
                throw new GlipFormatException($"{Path}: the file became shorter while it was read");
            offset += count;
            destination = destination[count..];
        }
    }

    /// <summary>A part of the file in a new array.</summary>
    /// <exception cref="GlipFormatException">The file ends before.</exception>
    public byte[] Read(long offset, int count)
    {
        if (offset < 0 || count > Length - offset) // before memory is taken for it
            throw new GlipFormatException($"{Path}: truncated: expected {count} bytes at byte {offset}, the file has {Length}");
        var bytes = new byte[count];
        Read(offset, bytes);
        return bytes;
    }

    public void Dispose() => _file.Dispose();
}
