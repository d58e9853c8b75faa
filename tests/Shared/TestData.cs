namespace Glip.Tests;

/// <summary>Finds the fixtures under tests/data, wherever the tests were built to.</summary>
public static class TestData
{
    /// <summary>The folder that holds the fixtures.</summary>
    public static string Root { get; } = System.IO.Path.Combine(FindRepository(), "tests", "data");

    /// <summary>A fixture's full path.</summary>
    public static string Path(params string[] parts) => System.IO.Path.Combine([Root, .. parts]);

    private static string FindRepository()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "Glip.Managed.sln")))
                return folder.FullName;
        }

        throw new DirectoryNotFoundException($"no folder above {AppContext.BaseDirectory} holds Glip.Managed.sln");
    }
}
