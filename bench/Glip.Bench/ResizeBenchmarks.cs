using Glip.Harness.Measuring;
using Glip.Harness.Shapes;
using Glip.Kernels;

namespace Glip.Bench;

/// <summary>Kernels that make a map of one level from that of the next coarser one; a shape is HxWxC of the coarse map, then HxW of the fine one.</summary>
public abstract class ResizeBenchmark : KernelBenchmark
{
    /// <inheritdoc/>
    protected override IEnumerable<string> ListShapes()
    {
        // Each level has a convolution of itself, from P3 on.
        DcnShape[] levels = [.. Model.Where(use => use.Part.EndsWith("from itself", StringComparison.Ordinal)).Select(use => (DcnShape)use.Shape)];
        return levels.Zip(levels.Skip(1), (fine, coarse) => $"{coarse.Height}x{coarse.Width}x{coarse.Outputs}x{fine.Height}x{fine.Width}");
    }

    /// <inheritdoc/>
    protected override Action Prepare(KernelContext context, string shape)
    {
        int[] sizes = [.. shape.Split('x').Select(int.Parse)];
        var x = AlignedFloats.Noise((long)sizes[0] * sizes[1] * sizes[2]);
        var y = new AlignedFloats((long)sizes[3] * sizes[4] * sizes[2]);
        return Prepare(context, sizes, x, y);
    }

    private protected abstract Action Prepare(KernelContext context, int[] sizes, AlignedFloats x, AlignedFloats y);
}

/// <summary>The channels' means of a coarser branch as DyConv enlarges it, bilinear with corners on corners.</summary>
public class BilinearResize : ResizeBenchmark
{
    private protected override Action Prepare(KernelContext context, int[] sizes, AlignedFloats x, AlignedFloats y) =>
        () => Kernels.BilinearResize.Means(context, x.Span, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], y.Span);
}

/// <summary>The feature pyramid's enlargement of a coarser level.</summary>
public class NearestResize : ResizeBenchmark
{
    private protected override Action Prepare(KernelContext context, int[] sizes, AlignedFloats x, AlignedFloats y) =>
        () => Kernels.NearestResize.Add(context, x.Span, sizes[0], sizes[1], sizes[2], y.Span, sizes[3], sizes[4]);
}
