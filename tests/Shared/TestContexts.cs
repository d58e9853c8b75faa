using System.Reflection;
using Glip.Kernels;
using Xunit.Sdk;

namespace Glip.Tests;

/// <summary>Runs a theory once for every instruction set of this process.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class EachIsaAttribute : DataAttribute
{
    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => SimdIsas.Available.Select(isa => new object[] { isa });
}

/// <summary>One context for each instruction set and number of workers, shared by all tests: tests must not run side by side.</summary>
public static class TestContexts
{
    private static readonly Dictionary<(SimdIsa Isa, int Workers), KernelContext> s_contexts = [];
    private static readonly Dictionary<int, WorkerPool> s_pools = [];

    /// <summary>Alone, a pair, and more workers than many jobs have parts.</summary>
    public static IReadOnlyList<int> WorkerCounts { get; } = [1, 2, 3];

    /// <summary>The shared context.</summary>
    public static KernelContext Get(SimdIsa isa, int workers = 1)
    {
        if (!s_contexts.TryGetValue((isa, workers), out KernelContext? context))
            s_contexts.Add((isa, workers), context = new KernelContext(isa, Pool(workers)));
        return context;
    }

    /// <summary>A context that runs nothing.</summary>
    public static KernelContext Planning(SimdIsa isa, int workers = 1) => new(isa, Pool(workers), planning: true);

    private static WorkerPool Pool(int workers)
    {
        if (!s_pools.TryGetValue(workers, out WorkerPool? pool))
            s_pools.Add(workers, pool = new WorkerPool(workers));
        return pool;
    }
}
