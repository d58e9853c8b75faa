using Glip.Harness;
using Glip.Harness.Shapes;
using Glip.Kernels;

namespace Glip.Tests.Bench;

public class KernelShapeTests
{
    /// <summary>A shape of each kind in its shortest form, one with all modifiers, and the multiply-adds of its direct algorithm worked out by hand.</summary>
    public static TheoryData<string, string, long> Shapes => new()
    {
        { "gemm", "3x5x7", 3 * 5 * 7 },
        { "conv", "6x5x2x3", 6 * 5 * 9 * 2 * 3 },
        { "conv", "6x5x2x3k1s2p1", 3 * 3 * 1 * 2 * 3 },
        { "conv", "8x12x3x5k4s4", 2 * 3 * 16 * 3 * 5 },
        { "dcn", "6x5x2x3", 6 * 5 * 9 * 2 * 3 },
        { "dcn", "6x5x2x3s2", 3 * 3 * 9 * 2 * 3 },
        { "window", "8x6x32", 2 * 1 * 49 * 32 * ((4 * 32) + (2 * 49)) },
        { "window", "8x6x6h2w3s1", 3 * 2 * 9 * 6 * ((4 * 6) + (2 * 9)) },
        { "bert", "5x8", (5 * 8 * ((4 * 8) + (2 * 32))) + (2 * 5 * 5 * 8) },
        { "bert", "5x8h2f6", (5 * 8 * ((4 * 8) + (2 * 6))) + (2 * 5 * 5 * 8) },
        { "mha", "5x8h2", 2 * 5 * 5 * 8 },
        { "bi", "9x4x3", 3 * 9 * 4 * 8 * 3 },
        { "bi", "9x4x3h2", 3 * 9 * 4 * 2 * 3 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_shape_is_read_and_written_alike_and_its_kernel_does_the_stated_work(string kind, string text, long multiplyAdds)
    {
        KernelShape shape = Kind(kind).Parse(text);
        Assert.Equal(text, shape.Text);
        Assert.Equal(multiplyAdds, shape.MultiplyAdds);
        Assert.Equal(shape, Kind(kind).Parse(shape.Text));

        foreach (SimdIsa isa in SimdIsas.Available)
        {
            using var context = new KernelContext(isa);
            Action call = shape.Prepare(context);
            long before = context.MultiplyAdds;
            call();
            call();
            Assert.Equal(2 * shape.Executed, context.MultiplyAdds - before);
        }
    }

    [Fact]
    public void Modifiers_at_their_defaults_need_not_be_written()
    {
        Assert.Equal("6x5x2x3", Kind("conv").Parse("6x5x2x3k3s1p0").Text);
        Assert.Equal("6x5x2x3", Kind("dcn").Parse("6x5x2x3s1").Text);
        Assert.Equal("8x6x64", Kind("window").Parse("8x6x64h2w7s0").Text);
        Assert.Equal("5x128", Kind("bert").Parse("5x128h2f512").Text);
        Assert.Equal("5x128", Kind("mha").Parse("5x128h2").Text);
        Assert.Equal("9x4x3", Kind("bi").Parse("9x4x3h8").Text);
    }

    [Fact]
    public void Options_hold_for_shapes_that_do_not_say_otherwise()
    {
        var options = new Dictionary<char, int> { ['k'] = 1, ['s'] = 2 };
        Assert.Equal(new ConvShape(6, 5, 2, 3, Kernel: 1, Stride: 2), Kind("conv").Parse("6x5x2x3", options));
        Assert.Equal(new ConvShape(6, 5, 2, 3, Kernel: 3, Stride: 2), Kind("conv").Parse("6x5x2x3k3", options));
    }

    [Theory]
    [InlineData("gemm", "3x5", "MxNxK", "3 dimensions")]
    [InlineData("gemm", "", "MxNxK", "3 dimensions")]
    [InlineData("gemm", "3x0x7", "N", "1 to")]
    [InlineData("gemm", "3xx7", "N", "1 to")]
    [InlineData("gemm", "3x5x99999999999", "K", "1 to")]
    [InlineData("gemm", "3x5x-7", "K", "1 to")]
    [InlineData("gemm", "3x5x7s2", "s2", "nothing behind")]
    [InlineData("conv", "6x5x2x3h2", "h2", "k (kernel)")]
    [InlineData("conv", "6x5x2x3k", "k", "a number")]
    [InlineData("conv", "6x5x2x3s0", "stride", "found 3, 0")]
    [InlineData("conv", "2x5x2x3k4", "4x4", "2x5")]
    [InlineData("conv", "1048576x1048576x1048576x1048576", "too large", "1048576x")]
    [InlineData("dcn", "6x5x2x3s3", "stride 1 or 2", "3")]
    [InlineData("window", "8x6x32h5", "32", "5 heads")]
    [InlineData("window", "8x6x32w3s3", "shift below", "3 and 3")]
    [InlineData("bert", "5x8h3", "8", "3 heads")]
    [InlineData("bert", "5x8f0", "feed-forward", "0")]
    [InlineData("mha", "5x8h0", "8", "0 heads")]
    [InlineData("bi", "9x4x3h0", "heads", "0")]
    public void A_wrong_shape_is_refused_with_what_was_expected(string kind, string text, string first, string second)
    {
        string message = Assert.Throws<UsageException>(() => Kind(kind).Parse(text)).Message;
        Assert.Contains(first, message, StringComparison.Ordinal);
        Assert.Contains(second, message, StringComparison.Ordinal);
    }

    private static KernelKind Kind(string name) => KernelKind.All.Single(kind => kind.Name == name);
}
