namespace Glip.Tests.Memory;

/// <summary>
/// Managed memory that a call allocates once its buffers have grown: the least of several calls. The runtime allocates now and then on its own, a collection, also
/// one that another test caused, may empty the shared array pool, and one in the middle of a call counts what it leaves unused of the thread's share.
/// </summary>
internal static class AllocatedBytes
{
    /// <summary>Of the calling thread alone: other tests may run beside it.</summary>
    public static long OfThread(Action call) => Least(call, GC.GetAllocatedBytesForCurrentThread);

    /// <summary>Of all threads together: nothing else may run beside it.</summary>
    public static long OfProcess(Action call) => Least(call, () => GC.GetTotalAllocatedBytes(precise: true));

    private static long Least(Action call, Func<long> allocated)
    {
        long least = long.MaxValue;
        for (int i = 0; i < 10; i++)
        {
            long before = allocated();
            call();
            least = Math.Min(least, allocated() - before);
        }

        return least;
    }
}
