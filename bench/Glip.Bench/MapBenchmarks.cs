using Glip.Harness.Measuring;
using Glip.Harness.Shapes;
using Glip.Kernels;

namespace Glip.Bench;

/// <summary>Kernels without products, on tables of rows × channels.</summary>
public abstract class MapBenchmark : KernelBenchmark
{
    // A published layer's; its size does not matter to the time.
    private protected const float NormEpsilon = 1e-5f;

    /// <inheritdoc/>
    protected override IEnumerable<string> ListShapes() => Sizes.Distinct().Select(size => $"{size.Rows}x{size.Columns}");

    /// <summary>Maps of the four Swin stages.</summary>
    private protected static IEnumerable<(int Rows, int Columns)> SwinMaps =>
        Model.Select(use => use.Shape).OfType<WindowAttentionShape>().Select(shape => (shape.Height * shape.Width, shape.Channels));

    /// <summary>Levels of the pyramid.</summary>
    private protected static IEnumerable<(int Rows, int Columns)> Levels =>
        Model.Select(use => use.Shape).OfType<DcnShape>().Where(shape => shape.Stride == 1).Select(shape => (shape.Height * shape.Width, shape.Outputs));

    private protected abstract IEnumerable<(int Rows, int Columns)> Sizes { get; }

    /// <inheritdoc/>
    protected override Action Prepare(KernelContext context, string shape)
    {
        string[] parts = shape.Split('x');
        int rows = int.Parse(parts[0]), columns = int.Parse(parts[1]);
        return Prepare(context, rows, columns, AlignedFloats.Noise((long)rows * columns), new AlignedFloats((long)rows * columns));
    }

    private protected abstract Action Prepare(KernelContext context, int rows, int columns, AlignedFloats x, AlignedFloats y);
}

/// <summary>Layer norm of Swin's maps.</summary>
public class LayerNorm : MapBenchmark
{
    private protected override IEnumerable<(int Rows, int Columns)> Sizes => SwinMaps;

    private protected override Action Prepare(KernelContext context, int rows, int columns, AlignedFloats x, AlignedFloats y)
    {
        AlignedFloats gamma = AlignedFloats.Noise(columns), beta = AlignedFloats.Noise(columns);
        return () => Kernels.LayerNorm.Forward(context, x.Span, rows, gamma.Span, beta.Span, NormEpsilon, y.Span);
    }
}

/// <summary>What a group norm costs behind a convolution that left no moments: moments, then factors and summands.</summary>
public class GroupNorm : MapBenchmark
{
    private protected override IEnumerable<(int Rows, int Columns)> Sizes => Levels;

    private protected override Action Prepare(KernelContext context, int rows, int columns, AlignedFloats x, AlignedFloats y)
    {
        AlignedFloats gamma = AlignedFloats.Noise(columns), beta = AlignedFloats.Noise(columns);
        AlignedFloats scale = new(columns), shift = new(columns), moments = new(ChannelMoments.PartialFloats(rows, columns));
        return () =>
        {
            ChannelMoments.Compute(context, x.Span, rows, columns, moments.Span);
            Kernels.GroupNorm.Affine(moments.Span, rows, Config.GroupNormGroups, NormEpsilon, gamma.Span, beta.Span, scale.Span, shift.Span);
        };
    }
}

/// <summary>Softmax over rows as long as window attention's scores, for all heads and windows of a stage.</summary>
public class Softmax : MapBenchmark
{
    private protected override IEnumerable<(int Rows, int Columns)> Sizes => Model.Select(use => use.Shape).OfType<WindowAttentionShape>()
        .Select(shape => (checked((int)shape.PaddedCells) * shape.Heads, shape.Window * shape.Window));

    // In place, so that after the first call the rows are softmax's own results; their exponentials cost the same.
    private protected override Action Prepare(KernelContext context, int rows, int columns, AlignedFloats x, AlignedFloats y) =>
        () => Kernels.Softmax.Forward(context, x.Span, rows, columns);
}

/// <summary>GELU of the feed-forward layers' hidden values.</summary>
public class Gelu : MapBenchmark
{
    private protected override IEnumerable<(int Rows, int Columns)> Sizes =>
        Model.Where(use => use.Part == "fc1").Select(use => (GemmShape)use.Shape).Select(shape => (shape.M, shape.N));

    private protected override Action Prepare(KernelContext context, int rows, int columns, AlignedFloats x, AlignedFloats y) =>
        () => Elementwise.Gelu(context, x.Span, y.Span);
}

/// <summary>Sigmoid of the deformable convolutions' masks.</summary>
public class Sigmoid : MapBenchmark
{
    private protected override IEnumerable<(int Rows, int Columns)> Sizes => Levels.Select(level => (ModulatedDeformConv2d.Taps, level.Rows));

    private protected override Action Prepare(KernelContext context, int rows, int columns, AlignedFloats x, AlignedFloats y) =>
        () => Elementwise.Sigmoid(context, x.Span, y.Span);
}

/// <summary>The weighted sum of a DyConv layer's three branches, and the dynamic ReLU behind it.</summary>
public class ActivatedSum : MapBenchmark
{
    private protected override IEnumerable<(int Rows, int Columns)> Sizes => Levels;

    private protected override Action Prepare(KernelContext context, int rows, int columns, AlignedFloats x, AlignedFloats y)
    {
        AlignedFloats finer = AlignedFloats.Noise((long)rows * columns), coarser = AlignedFloats.Noise((long)(rows + 3) / 4 * columns);
        AlignedFloats factors = AlignedFloats.Noise(3L * columns), shift = AlignedFloats.Noise(columns), lines = AlignedFloats.Noise(4L * columns);
        return () => ChannelMaps.ActivatedSum(
            context, x.Span, finer.Span, coarser.Span, 1, (rows + 3) / 4, factors.Span, shift.Span, lines.Span, 1, rows, y.Span);
    }
}

/// <summary>The feed-forward half of Swin blocks.</summary>
public class FeedForward : MapBenchmark
{
    // MLP ratio of all published models.
    private const int Ratio = 4;

    private protected override IEnumerable<(int Rows, int Columns)> Sizes => SwinMaps;

    private protected override Action Prepare(KernelContext context, int rows, int columns, AlignedFloats x, AlignedFloats y)
    {
        AlignedFloats gamma = AlignedFloats.Noise(columns), beta = AlignedFloats.Noise(columns);
        PackedMatrix expand = Weights.Packed(context, Ratio * columns, columns), reduce = Weights.Packed(context, columns, Ratio * columns);
        return () => Kernels.FeedForward.Forward(context, x.Span, rows, gamma.Span, beta.Span, NormEpsilon, expand, reduce);
    }
}
