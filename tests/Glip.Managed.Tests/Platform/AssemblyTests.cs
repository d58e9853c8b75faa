using System.Buffers;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Tests.Platform;

/// <summary>What the assemblies that hosts load contain, read from the compiled files: why they run with any C library, many times in a process, and unload.</summary>
public partial class AssemblyTests
{
    private static readonly Assembly[] s_libraries = [typeof(SimdIsas).Assembly, typeof(GlipDetector).Assembly, typeof(ImageFile).Assembly];

    /// <summary>Static fields that hold something that could be changed, each with the reason why it does no harm.</summary>
    private static readonly Dictionary<string, string> s_tables = new()
    {
        ["Crc32._table"] = "computed once, only read",
        ["BmpChannel.Default16"] = "a constant of the format, only read",
        ["BmpChannel.Default32"] = "a constant of the format, only read",
        ["GifDecoder._interlacedPasses"] = "a constant of the format, only read",
        ["GifDecoder._singlePass"] = "a constant of the format, only read",
        ["PngDecoder._interlacedPasses"] = "a constant of the format, only read",
        ["PngDecoder._singlePass"] = "a constant of the format, only read",
        ["ImageFile._decoders"] = "the list of formats, only read; decoders have no fields",
        ["JpegForwardDct._cosines"] = "computed once, only read",
        ["JpegForwardDct._transposed"] = "computed once, only read",
        ["LabelFont._drawn"] = "letters, decoded at first use, only read",
        ["ModelSummary.PartPrefixes"] = "titles of a report, only read",
        ["ProceduralWeights.Norms"] = "names in the formula's rules, only read",
        ["ProceduralWeights.Rules"] = "the formula's rules, only read",
        ["SwinBackbone.s_stageNames"] = "names of stages, only read",
    };

    public static TheoryData<string> Shipped => [.. s_libraries.Select(a => a.Location), typeof(Cli.GlipCommandLine).Assembly.Location, typeof(WeightsTools.WeightsCommandLine).Assembly.Location];

    [Theory]
    [MemberData(nameof(Shipped))]
    public void Nothing_that_ships_imports_native_functions_or_knows_a_C_library(string path)
    {
        using var file = new PEReader(File.OpenRead(path));
        MetadataReader metadata = file.GetMetadataReader();
        Assert.Equal(CorFlags.ILOnly, file.PEHeaders.CorHeader!.Flags & CorFlags.ILOnly);
        Assert.Equal(0, metadata.GetTableRowCount(TableIndex.ModuleRef));
        Assert.Empty(metadata.MethodDefinitions.Select(metadata.GetMethodDefinition)
            .Where(method => method.Attributes.HasFlag(MethodAttributes.PinvokeImpl)).Select(method => metadata.GetString(method.Name)));
        Assert.DoesNotContain(UserStrings(metadata), text => PlatformName().IsMatch(text));
    }

    [Theory]
    [MemberData(nameof(Shipped))]
    public void Builds_are_reproducible(string path)
    {
        using var file = new PEReader(File.OpenRead(path));
        Assert.Contains(file.ReadDebugDirectory(), entry => entry.Type == DebugDirectoryEntryType.Reproducible);
    }

    [Fact]
    public void Native_names_would_be_found()
    {
        foreach (string text in (string[])["libc", "libm.so.6", "/proc/cpuinfo", "/usr/share/zoneinfo", "kernel32.dll", "ld-linux-x86-64"])
            Assert.Matches(PlatformName(), text);
        foreach (string text in (string[])["models/glip-nano.safetensors", "glip", "image/png", "process", "a library"])
            Assert.DoesNotMatch(PlatformName(), text);
    }

    [Fact]
    public void The_libraries_have_no_state_of_their_own()
    {
        FieldInfo[] fields =
        [
            .. s_libraries.SelectMany(a => a.GetTypes()).Where(type => type.GetCustomAttribute<CompilerGeneratedAttribute>() is null)
                .SelectMany(type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                .Where(field => !field.IsLiteral && !field.DeclaringType!.Name.StartsWith('<') && !field.Name.StartsWith("<>", StringComparison.Ordinal)),
        ];
        Assert.True(fields.Length > 20);
        Assert.Empty(fields.Where(field => !field.IsInitOnly).Select(Name));
        Assert.Equal(s_tables.Keys.Order(), fields.Where(field => IsChangeable(field.FieldType)).Select(Name).Order());
    }

    [Fact]
    public void Nothing_waits_for_a_finaliser() =>
        Assert.DoesNotContain(
            s_libraries.SelectMany(a => a.GetTypes()),
            type => type.GetMethod("Finalize", BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.DeclaredOnly) is not null);

    private static string Name(FieldInfo field) => $"{field.DeclaringType!.Name}.{field.Name}";

    /// <summary>Arrays, collections and what fills itself later; our own types are looked at where their static fields would be.</summary>
    private static bool IsChangeable(Type type) =>
        type.IsArray || (type is { IsClass: true, IsGenericType: true } && !typeof(Delegate).IsAssignableFrom(type)
            && type.GetGenericTypeDefinition() != typeof(SearchValues<>) && type.Namespace!.StartsWith("System", StringComparison.Ordinal));

    private static IEnumerable<string> UserStrings(MetadataReader metadata)
    {
        for (UserStringHandle handle = default; ;)
        {
            handle = metadata.GetNextHandle(handle);
            if (handle.IsNil)
                yield break;
            yield return metadata.GetUserString(handle);
        }
    }

    /// <summary>A native library's name, or a path that only some systems have.</summary>
    [GeneratedRegex(@"\blib[a-z]+\.(so|dylib)|^lib(c|m|dl|pthread|rt)$|\.dll$|ld-(linux|musl)|glibc|^/(proc|sys|etc|usr|lib|dev)/")]
    private static partial Regex PlatformName();
}
