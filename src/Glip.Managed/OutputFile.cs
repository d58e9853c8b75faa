namespace Glip.Managed;

/// <summary>
/// A file that appears complete or not at all: written beside its place under another name, moved there by
/// <see cref="Commit"/>, deleted if disposed without.
/// </summary>
internal sealed class OutputFile : IDisposable
{
    private readonly string _path;
    private readonly string _partial;
    private bool _committed;

    /// <summary>Creates the partial file. An existing file at <paramref name="path"/> stays until <see cref="Commit"/>.</summary>
    public OutputFile(string path)
    {
        _path = Path.GetFullPath(path);
        RequireFolder(path);
        _partial = $"{_path}.{Path.GetRandomFileName()}.partial";
        Stream = new FileStream(_partial, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 16);
    }

    /// <summary>Where to write.</summary>
    public FileStream Stream { get; }

    /// <summary>Checks that a file can be where <paramref name="path"/> says, so that long work need not be done in vain.</summary>
    /// <exception cref="IOException">The folder does not exist, or the path is a folder.</exception>
    public static void RequireFolder(string path)
    {
        string fullPath = Path.GetFullPath(path);
        if (Directory.Exists(fullPath))
            throw new IOException($"{path}: cannot write a file, it is a folder");
        if (!Directory.Exists(Path.GetDirectoryName(fullPath)))
            throw new DirectoryNotFoundException($"{path}: the folder to write to does not exist");
    }

    /// <summary>Closes the stream and puts the file in its place, over an older one.</summary>
    public void Commit()
    {
        Stream.Dispose();
        File.Move(_partial, _path, overwrite: true);
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
