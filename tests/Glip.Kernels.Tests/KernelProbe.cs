[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Glip.Kernels.Tests;

/// <summary>The buffers of one call under test.</summary>
internal sealed class Buffers
{
    private readonly List<Canary> _inputs = [];
    private readonly List<Canary> _outputs = [];

    /// <summary>Read-only memory that holds <paramref name="values"/>.</summary>
    public Canary In(ReadOnlySpan<float> values) => Keep(_inputs, Canary.Of(values));

    /// <summary>Memory to be written.</summary>
    public Canary Out(int length) => Keep(_outputs, Canary.Blank(length));

    /// <summary>Memory to be read and written.</summary>
    public Canary InOut(ReadOnlySpan<float> values) => Keep(_outputs, Canary.Of(values));

    /// <summary>Everything that was written, after a check of all fences.</summary>
    public float[][] Results()
    {
        foreach (Canary input in _inputs)
            input.VerifyUntouched();
        foreach (Canary output in _outputs)
            output.Verify();
        return [.. _outputs.Select(o => o.Span.ToArray())];
    }

    /// <summary>Fails if anything was written at all.</summary>
    public void VerifyUntouched()
    {
        foreach (Canary buffer in _inputs.Concat(_outputs))
            buffer.VerifyUntouched();
    }

    private static Canary Keep(List<Canary> list, Canary canary)
    {
        list.Add(canary);
        return canary;
    }
}

/// <summary>
/// Runs a kernel in every way that must not change its result: with any number of workers, on scratch memory full of NaN, in scratch memory of just the
/// planned size; and once in a planning context, which must touch nothing.
/// </summary>
internal static unsafe class KernelProbe
{
    private const uint Poison = 0x7FC0_5C5C;
    private static readonly Lazy<WorkerPool> s_busyPair = new(MakeBusyPair);

    /// <summary>Calls the kernel in all these ways and returns what it wrote, one array a writable buffer.</summary>
    public static float[][] Run(SimdIsa isa, Action<KernelContext, Buffers> call)
    {
        float[][]? first = null;
        foreach (int workers in TestContexts.WorkerCounts)
        {
            KernelContext context = TestContexts.Get(isa, workers);
            context.ReserveScratch(Plan(TestContexts.Planning(isa, workers), call));
            long reserved = context.ScratchFloats;
            FillScratch(context, reserved);
            float[][] results = Invoke(context, call);
            Assert.Equal(reserved, context.ScratchFloats);
            first ??= results;
            Same(first, results, $"with {workers} workers");
        }

        Same(first!, RunInTightScratch(isa, call), "alone");
        return first!;
    }

    /// <summary><see cref="Run"/> for kernels with one writable buffer.</summary>
    public static float[] RunOne(SimdIsa isa, Action<KernelContext, Buffers> call) => Assert.Single(Run(isa, call));

    /// <summary>
    /// A busy pool of two makes its callers work alone, as worker 0 of 2: the other half of a context's scratch memory must stay as it is.
    /// </summary>
    private static float[][] RunInTightScratch(SimdIsa isa, Action<KernelContext, Buffers> call)
    {
        WorkerPool pool = s_busyPair.Value;
        long planned = Plan(new KernelContext(isa, pool, planning: true), call);
        var context = new KernelContext(isa, pool);
        context.ReserveScratch(planned);
        Assert.Equal(planned, context.ScratchFloats);
        FillScratch(context, planned);
        float[][] results = Invoke(context, call);
        Assert.Equal(planned, context.ScratchFloats);
        bool intact = true;
        var check = new CheckJob(planned / 2, planned / 2, &intact);
        context.Run(ref check, 1);
        Assert.True(intact, $"wrote beyond its {planned / 2} floats of scratch memory");
        return results;
    }

    private static long Plan(KernelContext planning, Action<KernelContext, Buffers> call)
    {
        var buffers = new Buffers();
        call(planning, buffers);
        buffers.VerifyUntouched();
        return planning.ScratchFloats;
    }

    private static float[][] Invoke(KernelContext context, Action<KernelContext, Buffers> call)
    {
        var buffers = new Buffers();
        call(context, buffers);
        return buffers.Results();
    }

    private static void FillScratch(KernelContext context, long floats)
    {
        var fill = new FillJob(floats);
        context.Run(ref fill, 1);
    }

    private static void Same(float[][] expected, float[][] actual, string when)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Close.Bits(expected[i], actual[i], $"buffer {i} {when}");
    }

    private static WorkerPool MakeBusyPair()
    {
        var pool = new WorkerPool(2);
        using var started = new ManualResetEventSlim();
        s_started = started;
        new Thread(() => pool.Run(&Block, null, 2)) { IsBackground = true }.Start();
        started.Wait();
        return pool;
    }

    private static ManualResetEventSlim? s_started;

    private static void Block(void* argument, int part, int worker)
    {
        if (part == 0)
            s_started!.Set();
        using var never = new ManualResetEventSlim();
        never.Wait();
    }

    /// <summary>Fills scratch memory from the first worker's on.</summary>
    private readonly struct FillJob(long floats) : IKernelJob
    {
        private readonly long _floats = floats;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel => new Span<uint>(scratch, checked((int)_floats)).Fill(Poison);
    }

    /// <summary>Looks whether a range of scratch memory still holds the poison.</summary>
    private readonly struct CheckJob(long first, long count, bool* intact) : IKernelJob
    {
        private readonly bool* _intact = intact;
        private readonly long _first = first;
        private readonly long _count = count;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel =>
            *_intact = !new ReadOnlySpan<uint>(scratch + _first, checked((int)_count)).ContainsAnyExcept(Poison);
    }
}
