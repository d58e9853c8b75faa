namespace Glip.Tests;

public static partial class Reference
{
    /// <summary>y = x·Wᵀ + b for x [rows, K], W [N, K], b [N] or empty.</summary>
    public static double[] Linear(ReadOnlySpan<double> x, int rows, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, int columns, int depth)
    {
        var y = new double[rows * columns];
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                double sum = bias.IsEmpty ? 0 : bias[j];
                for (int k = 0; k < depth; k++)
                    sum += x[(i * depth) + k] * weight[(j * depth) + k];
                y[(i * columns) + j] = sum;
            }
        }

        return y;
    }
}
