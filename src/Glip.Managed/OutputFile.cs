namespace Glip.Managed;

/// <summary>
/// A file that appears complete or not at all: written beside its place under another name, moved there by
/// <see cref="Commit"/>, deleted if disposed without. The one way in which this library writes files.
/// </summary>
internal sealed class OutputFile : IDisposable
{
    private readonly string _path;
    private readonly string _fullPath;
    private readonly string _partial;
    private bool _committed;

    /// <summary>Creates the partial file. An existing file at <paramref name="path"/> stays until <see cref="Commit"/>.</summary>
    /// <exception cref="IOException">The path is a folder, its folder does not exist, or no file can be made in it.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not write in the folder.</exception>
    public OutputFile(string path)
    {
        _path = path;
        _fullPath = Path.GetFullPath(path);
        string? folder = Path.GetDirectoryName(_fullPath);
        if (Directory.Exists(_fullPath))
            throw new IOException($"{path}: cannot write a file, it is a folder");
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"{path}: the folder to write to does not exist: {folder}");
        _partial = $"{_fullPath}.{Path.GetRandomFileName()}.partial";
        try
        {
            Stream = new FileStream(_partial, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 16);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new UnauthorizedAccessException($"{path}: not allowed to write in the folder {folder}", e);
        }
        catch (IOException e)
        {
            throw new IOException($"{path}: cannot write in the folder {folder}: {e.Message}", e);
        }
    }

    /// <summary>Where to write.</summary>
    public FileStream Stream { get; }

    /// <summary>Checks that a file can be written at <paramref name="path"/>, so that long work is not done in vain. Leaves nothing behind.</summary>
    /// <exception cref="IOException">The path is a folder, its folder does not exist, or no file can be made in it.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not write in the folder.</exception>
    public static void RequireWritable(string path) => new OutputFile(path).Dispose();

    /// <summary>Ends the file and puts it in its place, over an older one.</summary>
    /// <exception cref="IOException">The older file is in use or has become a folder, or the disk is full.</exception>
    /// <exception cref="UnauthorizedAccessException">The older file may not be replaced.</exception>
    public void Commit()
    {
        // Bytes reach the disk before the name does: a crash leaves the old file or the new one, not an empty one.
        Stream.Flush(flushToDisk: true);
        Stream.Dispose();
        try
        {
            File.Move(_partial, _fullPath, overwrite: true);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new UnauthorizedAccessException($"{_path}: not allowed to replace this file", e);
        }

        _committed = true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stream.Dispose();
        if (!_committed)
            File.Delete(_partial);
    }
}
