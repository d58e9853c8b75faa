namespace Glip.Tests;

/// <summary>Where two arrays differ most.</summary>
/// <param name="Relative">The difference as a part of the largest expected magnitude; infinite where only one of the two is a finite number.</param>
/// <param name="Index">The element.</param>
public readonly record struct Difference(double Relative, int Index)
{
    /// <summary>Compares arrays of one length.</summary>
    /// <param name="expected">The reference.</param>
    /// <param name="actual">The values under test.</param>
    /// <param name="largest">The largest expected magnitude where <paramref name="expected"/> is only a sample; 0 takes its own.</param>
    public static Difference Between(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double largest = 0)
    {
        double worst = 0;
        int where = 0;
        bool sampled = largest > 0;
        for (int i = 0; i < expected.Length; i++)
        {
            if (!sampled)
                largest = Math.Max(largest, Math.Abs(expected[i]));
            if (expected[i] == actual[i])
                continue;
            double difference = Math.Abs((double)expected[i] - actual[i]);
            if (double.IsNaN(difference))
                difference = double.PositiveInfinity; // every comparison with a NaN is false: it would slip through
            if (difference > worst)
                (worst, where) = (difference, i);
        }

        return new Difference(worst == 0 ? 0 : worst / largest, where);
    }
}
