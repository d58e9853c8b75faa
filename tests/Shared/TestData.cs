namespace Glip.Tests;

/// <summary>Finds the fixtures of a checkout, wherever the tests run from.</summary>
public static class TestData
{
    /// <summary>The folder that holds Glip.Managed.sln.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>A path under tests/data.</summary>
    public static string Path(params string[] parts) => System.IO.Path.Combine([Root, "tests", "data", .. parts]);

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "Glip.Managed.sln")))
                return folder.FullName;
        }

        throw new DirectoryNotFoundException($"no folder above {AppContext.BaseDirectory} contains Glip.Managed.sln");
    }
}
