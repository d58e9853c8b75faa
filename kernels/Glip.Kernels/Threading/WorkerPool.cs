using System.Runtime.ExceptionServices;

namespace Glip.Kernels;

/// <summary>
/// Persistent threads that share out the parts of one job at a time. The caller works too, so a pool of n has n − 1 threads and a
/// pool of 1 has none.
/// </summary>
/// <remarks>
/// Parts are taken from a counter, so that uneven parts balance; which worker does which part never changes a result. A caller that
/// finds the pool busy (another detection runs, or a part runs a job itself) does its job alone rather than wait. Idle threads block; they look for new
/// work for a few microseconds first, because kernels follow each other closely.
/// </remarks>
public sealed unsafe class WorkerPool : IDisposable
{
    // About 20 µs on current machines: longer than the gap between two kernels, shorter than a wake-up costs.
    private const int SpinsBeforeBlocking = 60;

    private readonly Thread[] _threads;
    private readonly object _lock = new();
    private delegate*<void*, int, int, void> _function;
    private void* _argument;
    private int _parts;
    private int _next;
    private int _joined;

    // 1 while a job runs. Not a monitor: its owner could enter again, from within a part.
    private int _busy;
    private volatile int _generation;
    private CancellationToken _cancellation;
    private bool _open;
    private bool _stopping;
    private ExceptionDispatchInfo? _error;

    /// <summary>Starts <paramref name="workers"/> − 1 background threads.</summary>
    /// <param name="workers">Threads that may work at once, the caller included; 1 to 1024.</param>
    public WorkerPool(int workers)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(workers, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(workers, 1024);
        Workers = workers;
        _threads = new Thread[workers - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            _threads[i] = new Thread(() => Loop(worker)) { IsBackground = true, Name = $"glip worker {worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>Threads that may work at once, the caller included.</summary>
    public int Workers { get; }

    /// <summary>Ends the threads and waits for them. No job may be running.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _stopping = true;
            _generation++;
            Monitor.PulseAll(_lock);
        }

        foreach (Thread thread in _threads)
            thread.Join();
    }

    /// <summary>Calls <paramref name="function"/>(argument, part, worker) for each part and returns when all are done, or, cancelled, when those are that had begun.</summary>
    /// <exception cref="OperationCanceledException">Cancelled before the last part began.</exception>
    internal void Run(delegate*<void*, int, int, void> function, void* argument, int parts, CancellationToken cancellation = default)
    {
        if (_threads.Length == 0 || parts <= 1 || Interlocked.Exchange(ref _busy, 1) != 0)
        {
            for (int part = 0; part < parts; part++)
            {
                cancellation.ThrowIfCancellationRequested();
                function(argument, part, 0);
            }

            return;
        }

        try
        {
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_stopping, this);
                _function = function;
                _argument = argument;
                _parts = parts;
                _next = 0;
                _error = null;
                _cancellation = cancellation;
                _open = true;
                _generation++;
                Monitor.PulseAll(_lock);
            }

            Work(0);
            lock (_lock)
            {
                // A thread that has not joined by now finds the door closed and never touches the argument.
                _open = false;
                while (_joined > 0)
                    Monitor.Wait(_lock);
                _cancellation = default;
            }

            _error?.Throw();
        }
        finally
        {
            Volatile.Write(ref _busy, 0);
        }
    }

    private void Work(int worker)
    {
        try
        {
            int part;
            while ((part = Interlocked.Increment(ref _next) - 1) < _parts)
            {
                _cancellation.ThrowIfCancellationRequested();
                _function(_argument, part, worker);
            }
        }
        catch (Exception e)
        {
            // Kept for the caller, who rethrows it; the other workers find nothing left to do.
            Interlocked.CompareExchange(ref _error, ExceptionDispatchInfo.Capture(e), null);
            Volatile.Write(ref _next, _parts);
        }
    }

    private void Loop(int worker)
    {
        int seen = 0;
        while (true)
        {
            for (int spin = 0; spin < SpinsBeforeBlocking && _generation == seen; spin++)
                Thread.SpinWait(20);
            lock (_lock)
            {
                while (_generation == seen)
                    Monitor.Wait(_lock);
                seen = _generation;
                if (_stopping)
                    return;
                if (!_open)
                    continue;
                _joined++;
            }

            Work(worker);
            lock (_lock)
            {
                if (--_joined == 0)
                    Monitor.PulseAll(_lock);
            }
        }
    }
}
