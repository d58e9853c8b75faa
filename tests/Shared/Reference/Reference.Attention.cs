namespace Glip.Tests;

public static partial class Reference
{
    /// <summary>Per head softmax(clamp(q·kᵀ/√D) + bias)·v for qkv [tokens, 3C].</summary>
    /// <param name="qkv">Queries, keys, values.</param>
    /// <param name="tokens">L.</param>
    /// <param name="channels">C.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="clamp">Limit on scores.</param>
    /// <param name="scoreBias">Added to (head, query, key).</param>
    public static double[] SelfAttention(ReadOnlySpan<double> qkv, int tokens, int channels, int heads, double clamp, Func<int, int, int, double> scoreBias)
    {
        int headDim = channels / heads;
        var y = new double[tokens * channels];
        for (int h = 0; h < heads; h++)
        {
            for (int i = 0; i < tokens; i++)
            {
                var scores = new double[tokens];
                for (int j = 0; j < tokens; j++)
                {
                    double sum = 0;
                    for (int d = 0; d < headDim; d++)
                        sum += qkv[(i * 3 * channels) + (h * headDim) + d] * qkv[(((j * 3) + 1) * channels) + (h * headDim) + d];
                    scores[j] = Math.Clamp(sum / Math.Sqrt(headDim), -clamp, clamp) + scoreBias(h, i, j);
                }

                scores = Softmax(scores, 1, tokens);
                for (int j = 0; j < tokens; j++)
                {
                    for (int d = 0; d < headDim; d++)
                        y[(i * channels) + (h * headDim) + d] += scores[j] * qkv[(((j * 3) + 2) * channels) + (h * headDim) + d];
                }
            }
        }

        return y;
    }

    /// <summary>The attention half of a Swin block, residual included. Written from the specification: pad, shift, cut into windows, undo.</summary>
    public static double[] WindowAttention(
        ReadOnlySpan<double> x, int height, int width, int channels, int heads, int window, int shift, ReadOnlySpan<double> gamma, ReadOnlySpan<double> beta,
        double eps, ReadOnlySpan<double> qkvWeight, ReadOnlySpan<double> qkvBias, double[] table, ReadOnlySpan<double> projectionWeight, ReadOnlySpan<double> projectionBias)
    {
        int paddedHeight = (height + window - 1) / window * window, paddedWidth = (width + window - 1) / window * window, tokens = window * window;
        double[] normed = LayerNorm(x, height * width, gamma, beta, eps);
        double[] result = x.ToArray();
        for (int top = 0; top < paddedHeight; top += window)
        {
            for (int left = 0; left < paddedWidth; left += window)
            {
                // Cells of this window in the shifted map, and where they come from.
                var cells = new int[tokens];
                var bands = new (int, int)[tokens];
                var input = new double[tokens * channels];
                for (int t = 0; t < tokens; t++)
                {
                    int sy = top + (t / window), sx = left + (t % window);
                    int y = (sy + shift) % paddedHeight, xx = (sx + shift) % paddedWidth;
                    cells[t] = y < height && xx < width ? (y * width) + xx : -1;
                    bands[t] = (Band(sy, paddedHeight), Band(sx, paddedWidth));
                    for (int c = 0; c < channels && cells[t] >= 0; c++)
                        input[(t * channels) + c] = normed[(cells[t] * channels) + c];
                }

                double[] qkv = Linear(input, tokens, qkvWeight, qkvBias, 3 * channels, channels);
                double[] attended = SelfAttention(qkv, tokens, channels, heads, double.PositiveInfinity, (h, i, j) =>
                {
                    int dy = (i / window) - (j / window) + window - 1, dx = (i % window) - (j % window) + window - 1;
                    return table[(((dy * ((2 * window) - 1)) + dx) * heads) + h] + (shift > 0 && bands[i] != bands[j] ? -100 : 0);
                });
                double[] projected = Linear(attended, tokens, projectionWeight, projectionBias, channels, channels);
                for (int t = 0; t < tokens; t++)
                {
                    for (int c = 0; c < channels && cells[t] >= 0; c++)
                        result[(cells[t] * channels) + c] += projected[(t * channels) + c];
                }
            }
        }

        return result;

        int Band(int position, int length) => position < length - window ? 0 : position < length - shift ? 1 : 2;
    }

    /// <summary>x + fc2(GELU(fc1(LN(x)))).</summary>
    public static double[] FeedForward(
        ReadOnlySpan<double> x, int rows, ReadOnlySpan<double> gamma, ReadOnlySpan<double> beta, double eps,
        ReadOnlySpan<double> expandWeight, ReadOnlySpan<double> expandBias, ReadOnlySpan<double> reduceWeight, ReadOnlySpan<double> reduceBias)
    {
        int channels = gamma.Length, hidden = expandBias.Length;
        double[] wide = Linear(LayerNorm(x, rows, gamma, beta, eps), rows, expandWeight, expandBias, hidden, channels);
        return Add(x, Linear(Map(wide, Gelu), rows, reduceWeight, reduceBias, channels, hidden));
    }

    /// <summary>Folded two-way attention: scores clamp(X·Mᵀ + c); X + softmax over a head's tokens · U + b; and softmax over the rows, transposed, · X.</summary>
    public static (double[] X, double[] Y) BiAttention(
        ReadOnlySpan<double> x, int rows, int channels, int heads, int tokens, int attended, ReadOnlySpan<double> scoreWeights, ReadOnlySpan<double> scoreBias,
        ReadOnlySpan<double> valueWeights, ReadOnlySpan<double> outputBias, double clamp)
    {
        int headTokens = heads * tokens;
        double[] scores = Map(Linear(x, rows, scoreWeights, scoreBias, headTokens, channels), s => Math.Clamp(s, -clamp, clamp));
        double[] updated = x.ToArray(), collected = new double[headTokens * channels];

        // Softmax of each head's run of tokens is softmax of rows × heads short rows.
        double[] masked = [.. scores.Select((s, i) => i % tokens < attended ? s : double.NegativeInfinity)];
        double[] image = Softmax(masked, rows * heads, tokens), column = new double[rows];
        for (int i = 0; i < rows; i++)
        {
            for (int c = 0; c < channels; c++)
            {
                updated[(i * channels) + c] += outputBias[c];
                for (int j = 0; j < headTokens; j++)
                    updated[(i * channels) + c] += image[(i * headTokens) + j] * valueWeights[(j * channels) + c];
            }
        }

        for (int j = 0; j < headTokens; j++)
        {
            for (int i = 0; i < rows; i++)
                column[i] = scores[(i * headTokens) + j];
            double[] weights = Softmax(column, 1, rows);
            for (int i = 0; i < rows; i++)
            {
                for (int c = 0; c < channels; c++)
                    collected[(j * channels) + c] += weights[i] * x[(i * channels) + c];
            }
        }

        return (updated, collected);
    }
}
