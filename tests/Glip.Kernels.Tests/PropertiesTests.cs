using FsCheck;
using FsCheck.Fluent;
using Xunit.Sdk;

namespace Glip.Kernels.Tests;

public class PropertiesTests
{
    [Fact]
    public void AFalsePropertyFailsAndIsShrunk()
    {
        var failure = Assert.Throws<XunitException>(() => Prop.ForAll(Gen.Choose(0, 100).ToArbitrary(), n => n < 50).Check(Properties.Cases(200)));
        Assert.Contains("Falsifiable", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnExceptionFails() =>
        Assert.Throws<XunitException>(() => Prop.ForAll(Gen.Choose(0, 100).ToArbitrary(), n => Assert.NotEqual(7, n % 8)).Check(Properties.Cases(200)));
}
