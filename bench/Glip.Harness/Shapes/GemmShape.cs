using Glip.Harness.Measuring;
using Glip.Kernels;

namespace Glip.Harness.Shapes;

/// <summary>A fully connected layer, <see cref="Gemm.Linear"/> with bias and packed weights: [M, K] times [N, K]ᵀ.</summary>
internal sealed record GemmShape(int M, int N, int K) : KernelShape
{
    public static KernelKind Grammar { get; } = new("gemm", "MxNxK", [], n => new GemmShape(n[0], n[1], n[2]));

    public override KernelKind Kind => Grammar;

    public override string Text => $"{M}x{N}x{K}";

    public override long MultiplyAdds => (long)M * N * K;

    public override Action Prepare(KernelContext context)
    {
        var x = AlignedFloats.Noise((long)M * K);
        var y = new AlignedFloats((long)M * N);
        PackedMatrix weight = Weights.Packed(context, N, K);
        return () => Gemm.Linear(context, x.Span, M, weight, y.Span);
    }
}
