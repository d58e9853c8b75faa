namespace Glip.Kernels;

/// <summary>How large the parts of a job should be.</summary>
internal static class EvenShares
{
    /// <summary>
    /// Units of a part, from <paramref name="least"/> to <paramref name="most"/>, so that the worker with the most parts has the fewest units; the larger size where two
    /// are as good, because every part has its own costs.
    /// </summary>
    /// <param name="units">Units of the job, of equal work.</param>
    /// <param name="least">Fewest units of a part, at least 1.</param>
    /// <param name="most">Most units of a part.</param>
    /// <param name="workers">Who shares the parts.</param>
    /// <param name="jobs">As many such jobs run as one.</param>
    public static int Size(int units, int least, int most, int workers, int jobs = 1)
    {
        most = Math.Max(least, Math.Min(most, units));
        int best = most, longest = int.MaxValue;
        for (int size = most; size >= least; size--)
        {
            int parts = jobs * ((units + size - 1) / size), share = (parts + workers - 1) / workers * size;
            if (share < longest)
                (best, longest) = (size, share);
        }

        return best;
    }
}
