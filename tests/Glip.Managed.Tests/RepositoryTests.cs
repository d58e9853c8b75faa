using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Glip.Tests;

/// <summary>The rules of the house that a compiler does not check: who may depend on whom, nothing native, nothing left undone.</summary>
public class RepositoryTests
{
    private static readonly string s_root = Path.GetFullPath(TestData.Path("..", ".."));

    /// <summary>For each part of the repository the parts that it may reference; kernels ← src ← everything else, and an arrow never turns.</summary>
    private static readonly Dictionary<string, string[]> s_mayReference = new()
    {
        ["kernels"] = [],
        ["src"] = ["kernels", "src"],
        ["weights-tools"] = ["kernels", "src"],
        ["adapters"] = ["kernels", "src"],
        ["bench"] = ["kernels", "src", "bench"],
        ["tests"] = ["kernels", "src", "weights-tools", "adapters", "bench"],
    };

    [Fact]
    public void Projects_reference_only_what_stands_below_them()
    {
        string[] projects = [.. Files("*.csproj")];
        Assert.Contains(projects, p => PartOf(p) == "kernels");
        Assert.Contains(projects, p => PartOf(p) == "src");
        foreach (string project in projects)
        {
            string part = PartOf(project);
            Assert.True(s_mayReference.ContainsKey(part), $"{project}: {part} is no known part of the repository");
            foreach (string reference in Included(project, "ProjectReference"))
            {
                string target = Path.GetRelativePath(s_root, Path.GetFullPath(Path.Combine(s_root, Path.GetDirectoryName(project)!, reference)));
                Assert.True(File.Exists(Path.Combine(s_root, target)), $"{project} references {target}, which does not exist");
                Assert.True(s_mayReference[part].Contains(PartOf(target)), $"{project} must not reference {target}");
            }
        }
    }

    [Fact]
    public void The_libraries_that_hosts_embed_need_no_package_but_tensor_primitives()
    {
        foreach (string project in (string[])["kernels/Glip.Kernels", "src/Glip.Managed", "src/Glip.Managed.Imaging"])
        {
            string path = $"{project}/{Path.GetFileName(project)}.csproj";
            Assert.Empty(Included(path, "PackageReference").Except(["System.Numerics.Tensors"]));
            Assert.Empty(Included(path, "Reference"));
        }
    }

    [Fact]
    public void Nothing_that_ships_calls_native_code() =>
        AssertNowhere(new Regex(@"\b(DllImport|LibraryImport|NativeLibrary)\b"), "kernels", "src", "weights-tools");

    [Fact]
    public void Nothing_is_left_undone() =>
        AssertNowhere(new Regex(@"\b(TODO|FIXME|XXX|HACK|NotImplementedException)\b"), [.. s_mayReference.Keys]);

    [Fact]
    public void Test_data_stays_small_enough_to_clone()
    {
        long bytes = Directory.EnumerateFiles(TestData.Root, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);
        Assert.InRange(bytes, 1, 12_000_000);
    }

    private static void AssertNowhere(Regex pattern, params string[] parts)
    {
        string[] sources = [.. Files("*.cs").Where(file => parts.Contains(PartOf(file)) && Path.GetFileName(file) != $"{nameof(RepositoryTests)}.cs")];
        Assert.True(sources.Length > 50);
        string[] found =
        [
            .. sources.SelectMany(file => File.ReadLines(Path.Combine(s_root, file))
                .Select((line, index) => (Text: $"{file}:{index + 1}: {line.Trim()}", Matches: pattern.IsMatch(line)))
                .Where(line => line.Matches)
                .Select(line => line.Text)),
        ];
        Assert.Empty(found);
    }

    private static string PartOf(string path) => path.Split('/', '\\')[0];

    private static IEnumerable<string> Included(string project, string item) =>
        XDocument.Load(Path.Combine(s_root, project)).Descendants(item).Select(e => e.Attribute("Include")!.Value);

    /// <summary>Paths relative to the repository, without what builds leave.</summary>
    private static IEnumerable<string> Files(string pattern) =>
        from part in s_mayReference.Keys
        let folder = Path.Combine(s_root, part)
        where Directory.Exists(folder)
        from file in Directory.EnumerateFiles(folder, pattern, SearchOption.AllDirectories)
        let relative = Path.GetRelativePath(s_root, file)
        where !relative.Split('/', '\\').Any(name => name is "bin" or "obj")
        select relative;
}
