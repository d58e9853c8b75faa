using Xunit.Abstractions;

namespace Glip.Kernels.Tests;

public class SimdIsaTests(ITestOutputHelper output)
{
    /// <summary>Set by .ci/run beside a DOTNET_Enable… knob: the set that must then be the best one.</summary>
    private const string ExpectedIsaVariable = "GLIP_EXPECT_ISA";

    [Fact]
    public void TheKnobOfThisRunTookEffect()
    {
        string? expected = Environment.GetEnvironmentVariable(ExpectedIsaVariable);
        output.WriteLine($"best: {SimdIsas.Best.Name()}; tested: {string.Join(", ", SimdIsas.Available.Select(SimdIsas.Name))}; expected best: {expected ?? "any"}");
        Assert.Equal(string.IsNullOrEmpty(expected) ? SimdIsas.Best : SimdIsas.Parse(expected), SimdIsas.Best);
    }

    [Fact]
    public void ScalarIsAlwaysAvailable() => Assert.Contains(SimdIsa.Scalar, SimdIsas.Available);

    [Fact]
    public void BestIsTheFirstAvailable() => Assert.Equal(SimdIsas.Available[0], SimdIsas.Best);

    [Fact]
    public void AllListsEveryMemberOnce() => Assert.Equal(Enum.GetValues<SimdIsa>().Order(), SimdIsas.All.Order());

    [Fact]
    public void NamesParseBack()
    {
        foreach (SimdIsa isa in SimdIsas.All)
            Assert.Equal(isa, SimdIsas.Parse(isa.Name()));
        Assert.Equal(SimdIsas.Best, SimdIsas.Parse("auto"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("AVX2")]
    [InlineData("sse9")]
    public void UnknownNamesAreRefused(string name)
    {
        var error = Assert.Throws<ArgumentException>(() => SimdIsas.Parse(name));
        Assert.StartsWith($"unknown instruction set '{name}': expected auto, avx512, avx2, neon, v128, vector, scalar, portable", error.Message);
    }

    [Fact]
    public void ValuesOutsideTheListAreRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => SimdIsas.IsSupported((SimdIsa)99));
        Assert.Throws<ArgumentOutOfRangeException>(() => ((SimdIsa)99).Name());
        Assert.Throws<ArgumentOutOfRangeException>(() => GemmTable.Layout((SimdIsa)99));
    }
}
