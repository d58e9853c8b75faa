namespace Glip.Kernels;

/// <summary>Group normalisation (Wu and He, ECCV 2018) of NHWC maps.</summary>
public static class GroupNorm
{
    private const int MostDoublesOnStack = 2048;

    /// <summary>Turns a map's channel moments into one factor and one summand a channel: <c>y = x·scale + shift</c>.</summary>
    /// <param name="moments">As <see cref="ChannelMoments.Compute"/> or a convolution wrote them.</param>
    /// <param name="rows">Cells of the map.</param>
    /// <param name="groups">Groups of neighbouring channels.</param>
    /// <param name="eps">Added to the biased variance.</param>
    /// <param name="gamma">[C].</param>
    /// <param name="beta">[C].</param>
    /// <param name="scale">[C], result.</param>
    /// <param name="shift">[C], result.</param>
    /// <param name="means">[C], receives the channels' means, or is empty.</param>
    public static void Affine(
        ReadOnlySpan<float> moments, int rows, int groups, float eps, ReadOnlySpan<float> gamma, ReadOnlySpan<float> beta,
        Span<float> scale, Span<float> shift, Span<float> means = default)
    {
        int channels = gamma.Length;
        Check.That(groups > 0 && channels % groups == 0, $"{channels} channels do not divide into {groups} groups", nameof(groups));
        Check.Length(moments, ChannelMoments.PartialFloats(rows, channels), nameof(moments));
        Check.Length(beta, channels, nameof(beta));
        Check.Length(scale, channels, nameof(scale));
        Check.Length(shift, channels, nameof(shift));
        if (!means.IsEmpty)
            Check.Length(means, channels, nameof(means));
        int size = channels / groups;
        Span<double> merged = 2 * channels <= MostDoublesOnStack ? stackalloc double[2 * channels] : new double[2 * channels];
        Span<double> channelMeans = merged[..channels], channelSquares = merged[channels..];
        ChannelMoments.Merge(moments, rows, channelMeans, channelSquares);
        for (int group = 0; group < groups; group++)
        {
            double mean = 0, squares = 0;
            for (int i = 0; i < size; i++)
            {
                // All channels have the same number of cells, so merging needs no weights but the running count.
                int c = (group * size) + i;
                double difference = channelMeans[c] - mean;
                mean += difference / (i + 1);
                squares += channelSquares[c] + (difference * difference * rows * i / (i + 1));
            }

            double inverse = 1 / Math.Sqrt((squares / ((double)rows * size)) + eps);
            for (int i = 0; i < size; i++)
            {
                int c = (group * size) + i;
                scale[c] = (float)(gamma[c] * inverse);
                shift[c] = (float)(beta[c] - (gamma[c] * inverse * mean));
            }
        }

        for (int c = 0; c < means.Length; c++)
            means[c] = (float)channelMeans[c];
    }
}
