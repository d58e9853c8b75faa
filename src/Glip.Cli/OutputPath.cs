using Glip.Managed;

namespace Glip.Cli;

/// <summary>Names of files to write.</summary>
internal static class OutputPath
{
    /// <summary>Refuses a name that cannot be written or would destroy an input, before any work is done.</summary>
    /// <param name="path">The file to write.</param>
    /// <param name="what">What goes into it.</param>
    /// <param name="inputs">Files that the command reads; those that it does not have are null.</param>
    /// <exception cref="UsageException">No name, or an input's.</exception>
    /// <exception cref="IOException">No file can be written there.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not write there.</exception>
    public static void Check(string path, string what, params ReadOnlySpan<string?> inputs)
    {
        if (path.Length == 0)
            throw new UsageException($"the name of the {what} is empty");
        foreach (string? input in inputs)
        {
            if (!string.IsNullOrEmpty(input) && AreSame(path, input))
                throw new UsageException($"the {what} would replace a file that it is made from: {path}");
        }

        OutputFile.RequireWritable(path);
    }

    /// <summary>Whether two names mean one file.</summary>
    public static bool AreSame(string a, string b) => Path.GetFullPath(a) == Path.GetFullPath(b);
}
