using System.Reflection;
using System.Text.RegularExpressions;

namespace Glip.Kernels.Tests;

/// <summary>kernels/README.md lists what there is.</summary>
public partial class CatalogueTests
{
    private static readonly string s_catalogue = File.ReadAllText(Path.Combine(TestData.Root, "..", "..", "kernels", "README.md"));

    [Fact]
    public void EveryKernelHasItsRowAndEveryRowItsKernel()
    {
        // A kernel is a public method that takes a context and writes a span.
        IEnumerable<string> kernels =
            from type in typeof(KernelContext).Assembly.GetExportedTypes()
            from method in type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly)
            where method.GetParameters() is [{ ParameterType: var first }, ..] parameters && first == typeof(KernelContext)
                && parameters.Any(p => p.ParameterType == typeof(Span<float>))
            select $"{type.Name}.{method.Name}";
        IEnumerable<string> rows = KernelRow().Matches(s_catalogue).Select(row => row.Groups[1].Value);
        Assert.Equal(kernels.Order(), rows.Order());
    }

    [Fact]
    public void EveryInstructionSetHasItsRow()
    {
        IEnumerable<string> rows = IsaRow().Matches(s_catalogue).Select(row => row.Groups[1].Value);
        Assert.Equal(SimdIsas.All.Select(SimdIsas.Name).Order(), rows.Order());
    }

    [GeneratedRegex(@"^\| `(\w+\.\w+)` \|", RegexOptions.Multiline)]
    private static partial Regex KernelRow();

    [GeneratedRegex(@"^\| `([a-z0-9]+)` \|", RegexOptions.Multiline)]
    private static partial Regex IsaRow();
}
