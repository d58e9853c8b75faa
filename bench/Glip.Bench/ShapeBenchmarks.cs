using Glip.Harness.Shapes;
using Glip.Kernels;

namespace Glip.Bench;

/// <summary>Kernels that the harness times too: the same shapes, the same calls.</summary>
public abstract class ShapeBenchmark : KernelBenchmark
{
    /// <inheritdoc/>
    protected override IEnumerable<string> ListShapes() => Model.Select(use => use.Shape).Where(shape => shape.Kind == Kind).Select(shape => shape.Text).Distinct();

    private protected abstract KernelKind Kind { get; }

    /// <inheritdoc/>
    protected override Action Prepare(KernelContext context, string shape) => Kind.Parse(shape).Prepare(context);
}

/// <summary>Fully connected layers.</summary>
public class Gemm : ShapeBenchmark
{
    private protected override KernelKind Kind => GemmShape.Grammar;
}

/// <summary>Dense convolutions.</summary>
public class Conv : ShapeBenchmark
{
    private protected override KernelKind Kind => ConvShape.Grammar;
}

/// <summary>Modulated deformable convolutions.</summary>
public class Dcn : ShapeBenchmark
{
    private protected override KernelKind Kind => DcnShape.Grammar;
}

/// <summary>The attention half of Swin blocks.</summary>
public class WindowAttention : ShapeBenchmark
{
    private protected override KernelKind Kind => WindowAttentionShape.Grammar;
}

/// <summary>Whole BERT layers.</summary>
public class BertLayer : ShapeBenchmark
{
    private protected override KernelKind Kind => BertLayerShape.Grammar;
}

/// <summary>BERT's attention without the projections around it.</summary>
public class BertAttention : ShapeBenchmark
{
    private protected override KernelKind Kind => MultiHeadAttentionShape.Grammar;
}

/// <summary>The fusion's attention in both directions.</summary>
public class BiAttention : ShapeBenchmark
{
    private protected override KernelKind Kind => BiAttentionShape.Grammar;
}
