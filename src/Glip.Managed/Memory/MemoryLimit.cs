namespace Glip.Managed.Memory;

/// <summary>What messages say about the memory that the process may have.</summary>
internal static class MemoryLimit
{
    /// <summary>Limit of the garbage collector's heap: that of its settings, the container or the machine.</summary>
    public static long Bytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
}
