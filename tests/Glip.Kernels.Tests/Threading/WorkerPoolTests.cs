namespace Glip.Kernels.Tests;

public unsafe class WorkerPoolTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(1025)]
    public void WorkerCountsOutsideTheRangeAreRefused(int workers) =>
        Assert.Throws<ArgumentOutOfRangeException>(nameof(workers), () => new WorkerPool(workers));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void EveryPartIsDoneOnceByAKnownWorker(int workers)
    {
        using var pool = new WorkerPool(workers);
        foreach (int parts in (int[])[0, 1, 2, 3, 7, 64, 1000])
        {
            var record = new Record(parts);
            record.Run(pool);
            Assert.All(record.Counts, count => Assert.Equal(1, count));
            Assert.All(record.Workers, worker => Assert.InRange(worker, 0, workers - 1));
        }
    }

    [Fact]
    public void ThousandsOfTinyJobsLoseNothing()
    {
        using var pool = new WorkerPool(3);
        long sum = 0;
        for (int job = 0; job < 20000; job++)
            pool.Run(&AddPart, &sum, 1 + (job % 5));

        // Parts 0…n − 1 for n = 1…5 add up to 0 + 1 + 3 + 6 + 10 in five jobs.
        Assert.Equal(20000 / 5 * 20, sum);
    }

    [Fact]
    public void WorkersSeeWhatTheCallerWroteAndTheCallerSeesTheirResults()
    {
        // Plain reads and writes on purpose: the pool's own hand-over must order them.
        using var pool = new WorkerPool(4);
        var values = stackalloc int[64];
        for (int round = 1; round <= 2000; round++)
        {
            for (int i = 0; i < 64; i++)
                values[i] = round;
            pool.Run(&Double, values, 64);
            for (int i = 0; i < 64; i++)
                Assert.Equal(2 * round, values[i]);
        }
    }

    [Fact]
    public void ACallerWaitsForPartsThatOthersStillWorkOn()
    {
        using var pool = new WorkerPool(2);
        using var started = new ManualResetEventSlim();
        s_started = started;
        for (int round = 0; round < 20; round++)
        {
            started.Reset();
            int done = 0;
            pool.Run(&LeaveTheOtherBehind, &done, 2);
            Assert.Equal(2, Volatile.Read(ref done));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void ACancelledJobEndsWithThePartsThatHadBegunAndThePoolStaysUsable(int workers)
    {
        using var pool = new WorkerPool(workers);
        int* begun = stackalloc int[1];
        for (int round = 0; round < 50; round++)
        {
            using var source = new CancellationTokenSource();
            s_cancelled = source;
            *begun = 0;
            var error = Assert.Throws<OperationCanceledException>(() => pool.Run(&CancelInTheFifthPart, begun, 1000, source.Token));
            Assert.Equal(source.Token, error.CancellationToken);
            Assert.InRange(*begun, 5, 5 + workers);
            long sum = 0;
            pool.Run(&AddPart, &sum, 5);
            Assert.Equal(10, sum);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void AnExceptionReachesTheCallerAndThePoolStaysUsable(int workers)
    {
        using var pool = new WorkerPool(workers);
        for (int round = 0; round < 50; round++)
        {
            var error = Assert.Throws<InvalidTimeZoneException>(() => pool.Run(&Fail, null, 20));
            Assert.Equal("part 7", error.Message);
            var record = new Record(20);
            record.Run(pool);
            Assert.All(record.Counts, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void APartMayRunAJobOnTheSamePool()
    {
        using var pool = new WorkerPool(3);
        s_nested = pool;
        long sum = 0;
        for (int round = 0; round < 200; round++)
            pool.Run(&Nest, &sum, 10);
        Assert.Equal(200 * 10 * 28, sum);
    }

    [Fact]
    public void CallersOnSeveralThreadsShareAPool()
    {
        using var pool = new WorkerPool(2);
        var sums = new long[4];
        Thread[] callers = [.. Enumerable.Range(0, sums.Length).Select(i => new Thread(() =>
        {
            long sum = 0;
            for (int job = 0; job < 2000; job++)
                pool.Run(&AddPart, &sum, 8);
            sums[i] = sum;
        }))];
        foreach (Thread caller in callers)
            caller.Start();
        foreach (Thread caller in callers)
            caller.Join();
        Assert.All(sums, sum => Assert.Equal(2000 * 28, sum));
    }

    [Fact]
    public void OneWorkerStartsNoThread()
    {
        using var pool = new WorkerPool(1);
        Assert.Equal([Environment.CurrentManagedThreadId], ThreadsOf(pool));
    }

    [Fact]
    public void ThreadsEndWithDispose()
    {
        // Each worker must take a part, or the barrier never opens.
        s_barrier = new Barrier(3);
        s_threads = new Thread[3];
        var pool = new WorkerPool(3);
        pool.Run(&Meet, null, 3);
        Assert.Equal(3, s_threads.Distinct().Count());
        pool.Dispose();
        Assert.All(s_threads, thread => Assert.Equal(thread == Thread.CurrentThread, thread.IsAlive));
    }

    [Fact]
    public void ADisposedPoolRefusesJobsForItsThreads()
    {
        var pool = new WorkerPool(2);
        pool.Dispose();
        pool.Dispose();
        Assert.Throws<ObjectDisposedException>(() => pool.Run(&Fail, null, 2));
    }

    private static HashSet<int> ThreadsOf(WorkerPool pool)
    {
        var ids = stackalloc int[100];
        pool.Run(&NoteThread, ids, 100);
        return [.. new Span<int>(ids, 100)];
    }

    private static void AddPart(void* sum, int part, int worker) => Interlocked.Add(ref *(long*)sum, part);

    private static void CancelInTheFifthPart(void* begun, int part, int worker)
    {
        // Later parts that have begun wait, so that no other thread runs ahead while this one is kept from cancelling.
        int number = Interlocked.Increment(ref *(int*)begun);
        if (number == 5)
            s_cancelled!.Cancel();
        while (number > 5 && !s_cancelled!.IsCancellationRequested)
            Thread.Yield();
    }

    private static void Double(void* values, int part, int worker) => ((int*)values)[part] *= 2;

    private static void NoteThread(void* ids, int part, int worker) => ((int*)ids)[part] = Environment.CurrentManagedThreadId;

    private static void Fail(void* argument, int part, int worker)
    {
        if (part == 7)
            throw new InvalidTimeZoneException("part 7");
    }

    private static void Nest(void* sum, int part, int worker) => s_nested!.Run(&AddPart, sum, 8);

    /// <summary>The caller's part ends as soon as the other thread has begun its own, which takes longer.</summary>
    private static void LeaveTheOtherBehind(void* done, int part, int worker)
    {
        if (worker == 0)
        {
            s_started!.Wait();
        }
        else
        {
            s_started!.Set();
            for (int i = 0; i < 1000; i++)
                Thread.Yield();
        }

        Interlocked.Increment(ref *(int*)done);
    }

    private static void Meet(void* argument, int part, int worker)
    {
        s_threads[worker] = Thread.CurrentThread;
        s_barrier!.SignalAndWait();
    }

    private static ManualResetEventSlim? s_started;
    private static CancellationTokenSource? s_cancelled;
    private static WorkerPool? s_nested;
    private static Barrier? s_barrier;
    private static Thread[] s_threads = [];

    /// <summary>Counts visits to each part.</summary>
    private sealed class Record(int parts)
    {
        public int[] Counts { get; } = new int[parts];

        public int[] Workers { get; } = new int[parts];

        public void Run(WorkerPool pool)
        {
            fixed (int* counts = Counts)
            fixed (int* workers = Workers)
            {
                var arrays = new Arrays(counts, workers);
                pool.Run(&Visit, &arrays, parts);
            }
        }

        private static void Visit(void* argument, int part, int worker)
        {
            var arrays = (Arrays*)argument;
            Interlocked.Increment(ref arrays->Counts[part]);
            arrays->Workers[part] = worker;
        }
    }

    private readonly struct Arrays(int* counts, int* workers)
    {
        public readonly int* Counts = counts;

        public readonly int* Workers = workers;
    }
}
