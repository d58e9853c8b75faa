using Glip.Managed.Weights;

namespace Glip.WeightsTools;

/// <summary>
/// Which parameters of a half-size model are stored half-size: matrices, which make its size. Vectors, the tables of relative positions and the first layer keep single
/// precision: 0.2 % of GLIP-T, nearly all of which kernels hold in single precision anyway, and a third of what rounding everything would change.
/// </summary>
internal static class StoredPrecision
{
    private const string FirstLayer = "backbone.body.patch_embed.proj.weight";
    private const string RelativePositions = ".relative_position_bias_table";

    /// <summary>The type in which a parameter is stored.</summary>
    /// <param name="name">The original's name.</param>
    /// <param name="shape">Its dimensions.</param>
    /// <param name="type">Precision of the model.</param>
    public static TensorType Of(string name, ReadOnlySpan<int> shape, TensorType type) =>
        IsVector(shape) || name == FirstLayer || name.EndsWith(RelativePositions, StringComparison.Ordinal) ? TensorType.F32 : type;

    private static bool IsVector(ReadOnlySpan<int> shape)
    {
        int wide = 0;
        foreach (int dimension in shape)
            wide += dimension > 1 ? 1 : 0;
        return wide < 2;
    }
}
