namespace Glip.Tests;

public static partial class Reference
{
    /// <summary>Layer norm of each row, biased variance.</summary>
    public static double[] LayerNorm(ReadOnlySpan<double> x, int rows, ReadOnlySpan<double> gamma, ReadOnlySpan<double> beta, double eps)
    {
        int channels = gamma.Length;
        var y = new double[rows * channels];
        for (int i = 0; i < rows; i++)
        {
            ReadOnlySpan<double> row = x.Slice(i * channels, channels);
            double mean = Mean(row), variance = 0;
            foreach (double value in row)
                variance += (value - mean) * (value - mean) / channels;
            for (int c = 0; c < channels; c++)
                y[(i * channels) + c] = ((row[c] - mean) / Math.Sqrt(variance + eps) * gamma[c]) + beta[c];
        }

        return y;
    }

    /// <summary>Group norm of an NHWC map.</summary>
    public static double[] GroupNorm(ReadOnlySpan<double> x, int rows, int groups, ReadOnlySpan<double> gamma, ReadOnlySpan<double> beta, double eps)
    {
        int channels = gamma.Length, size = channels / groups;
        var y = new double[rows * channels];
        for (int group = 0; group < groups; group++)
        {
            var values = new double[rows * size];
            for (int i = 0; i < values.Length; i++)
                values[i] = x[(i / size * channels) + (group * size) + (i % size)];
            double mean = Mean(values), variance = 0;
            foreach (double value in values)
                variance += (value - mean) * (value - mean) / values.Length;
            for (int i = 0; i < values.Length; i++)
            {
                int c = (group * size) + (i % size);
                y[(i / size * channels) + c] = ((values[i] - mean) / Math.Sqrt(variance + eps) * gamma[c]) + beta[c];
            }
        }

        return y;
    }

    /// <summary>Each channel's mean and sum of squared deviations over the rows of a map.</summary>
    public static (double[] Means, double[] SquaredDeviations) Moments(ReadOnlySpan<double> x, int rows, int channels)
    {
        double[] means = new double[channels], squares = new double[channels];
        for (int i = 0; i < rows * channels; i++)
            means[i % channels] += x[i] / rows;
        for (int i = 0; i < rows * channels; i++)
            squares[i % channels] += (x[i] - means[i % channels]) * (x[i] - means[i % channels]);
        return (means, squares);
    }

    /// <summary>Softmax of each row.</summary>
    public static double[] Softmax(ReadOnlySpan<double> x, int rows, int columns)
    {
        var y = new double[rows * columns];
        for (int i = 0; i < rows; i++)
        {
            ReadOnlySpan<double> row = x.Slice(i * columns, columns);
            double max = double.NegativeInfinity, sum = 0;
            foreach (double value in row)
                max = Math.Max(max, value);
            foreach (double value in row)
                sum += Math.Exp(value - max);
            for (int j = 0; j < columns; j++)
                y[(i * columns) + j] = Math.Exp(row[j] - max) / sum;
        }

        return y;
    }

    /// <summary>x / max(‖x‖, eps) of each row.</summary>
    public static double[] L2Normalize(ReadOnlySpan<double> x, int rows, int columns, double eps)
    {
        var y = new double[rows * columns];
        for (int i = 0; i < rows; i++)
        {
            double squares = 0;
            for (int j = 0; j < columns; j++)
                squares += x[(i * columns) + j] * x[(i * columns) + j];
            for (int j = 0; j < columns; j++)
                y[(i * columns) + j] = x[(i * columns) + j] / Math.Max(Math.Sqrt(squares), eps);
        }

        return y;
    }

    private static double Mean(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values)
            sum += value;
        return sum / values.Length;
    }
}
