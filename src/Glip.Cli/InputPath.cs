namespace Glip.Cli;

/// <summary>Names of files to read.</summary>
internal static class InputPath
{
    /// <summary>Refuses a name behind which no file is, before any work is done. Null, for files that the command does not need, is fine.</summary>
    /// <param name="path">The file to read.</param>
    /// <param name="what">What it holds.</param>
    /// <exception cref="UsageException">No name, as an unset variable of a shell leaves it.</exception>
    /// <exception cref="IOException">No such file, or a folder.</exception>
    public static void Check(string? path, string what)
    {
        if (path is null)
            return;
        if (path.Length == 0)
            throw new UsageException($"the name of the {what} is empty");
        if (Directory.Exists(path))
            throw new IOException($"the {what} must be a file, this is a folder: {path}");
        if (!File.Exists(path))
            throw new FileNotFoundException($"the {what} does not exist: {path}");
    }
}
