using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Glip.Kernels;

/// <summary>
/// How kernels run: the instruction set, the workers and their scratch memory. Passed to every kernel; used by one call at a time.
/// </summary>
/// <remarks>
/// The switch over instruction sets stands here and nowhere else. A <em>planning</em> context runs nothing: kernels
/// only report the scratch memory that they would need (<see cref="ScratchFloats"/>), which lets a model's forward pass plan its own memory.
/// </remarks>
public sealed unsafe class KernelContext : IDisposable
{
    private const int CacheLine = 64;

    private readonly WorkerPool? _ownPool;
    private readonly WorkerPool _pool;
    private float[] _scratch = [];
    private nint _scratchStride;

    /// <summary>A context with its own threads.</summary>
    /// <param name="isa">Instruction set.</param>
    /// <param name="workers">Threads that may work at once, the caller included; 1 starts none.</param>
    /// <exception cref="PlatformNotSupportedException">This process cannot run <paramref name="isa"/>.</exception>
    public KernelContext(SimdIsa isa, int workers = 1)
        : this(isa, new WorkerPool(workers)) => _ownPool = _pool;

    /// <summary>A context on shared threads.</summary>
    /// <param name="isa">Instruction set.</param>
    /// <param name="pool">Its workers; not disposed with this context.</param>
    /// <param name="planning">True to run nothing and only collect what scratch memory kernels ask for.</param>
    /// <exception cref="PlatformNotSupportedException">This process cannot run <paramref name="isa"/>.</exception>
    public KernelContext(SimdIsa isa, WorkerPool pool, bool planning = false)
    {
        ArgumentNullException.ThrowIfNull(pool);
        if (!SimdIsas.IsSupported(isa))
        {
            throw new PlatformNotSupportedException(
                $"instruction set '{isa.Name()}' cannot run here: this process has {string.Join(", ", Array.ConvertAll([.. SimdIsas.Available], SimdIsas.Name))}");
        }

        Isa = isa;
        _pool = pool;
        IsPlanning = planning;
    }

    /// <summary>The instruction set in force.</summary>
    public SimdIsa Isa { get; }

    /// <summary>Threads that may work at once, the caller included.</summary>
    public int Workers => _pool.Workers;

    /// <summary>True if kernels only report what scratch memory they need.</summary>
    public bool IsPlanning { get; }

    /// <summary>
    /// Ends kernels early: it is looked at before every part of the work, a few milliseconds at most, and ends the call in an <see cref="OperationCanceledException"/>.
    /// What the kernel was to write is then undefined.
    /// </summary>
    public CancellationToken CancellationToken { get; set; }

    /// <summary>Multiply-adds of all matrix products and convolutions so far, as executed; a planning context counts what it would execute.</summary>
    public long MultiplyAdds { get; private set; }

    /// <summary>Scratch floats that the neediest kernel so far asked for, over all workers.</summary>
    public long ScratchFloats => _scratchStride * Workers;

    /// <summary>Makes scratch memory of <paramref name="floats"/> (a planning context's <see cref="ScratchFloats"/>) at once instead of on demand.</summary>
    public void ReserveScratch(long floats)
    {
        if (floats > ScratchFloats)
            Grow((nint)((floats + Workers - 1) / Workers));
    }

    /// <inheritdoc/>
    public void Dispose() => _ownPool?.Dispose();

    /// <summary>Runs all parts of a job on the workers.</summary>
    /// <param name="job">The work.</param>
    /// <param name="parts">Number of parts; 0 does nothing.</param>
    /// <param name="scratchFloats">Scratch memory that each part needs.</param>
    /// <param name="multiplyAdds">Arithmetic of all parts, to be counted.</param>
    internal void Run<TJob>(ref TJob job, int parts, long scratchFloats = 0, long multiplyAdds = 0)
        where TJob : unmanaged, IKernelJob
    {
        MultiplyAdds += multiplyAdds;
        if (scratchFloats > _scratchStride)
            Grow((nint)scratchFloats);
        if (IsPlanning || parts == 0)
            return;
        fixed (TJob* pinnedJob = &job)
        fixed (float* scratch = _scratch)
        {
            var call = new Call<TJob>(pinnedJob, Align(scratch), _scratchStride);
            _pool.Run(Entry<TJob>(Isa), &call, parts, CancellationToken);
        }
    }

    private static delegate*<void*, int, int, void> Entry<TJob>(SimdIsa isa)
        where TJob : unmanaged, IKernelJob => isa switch
        {
            SimdIsa.Scalar => &Call<TJob>.Invoke<SimdScalar, float, NarrowTiles<SimdScalar, float>>,
            SimdIsa.Vector => &Call<TJob>.Invoke<SimdVector, Vector<float>, NarrowTiles<SimdVector, Vector<float>>>,
            SimdIsa.V128 => &Call<TJob>.Invoke<Simd128, Vector128<float>, NarrowTiles<Simd128, Vector128<float>>>,
            SimdIsa.Avx2 => &Call<TJob>.Invoke<Simd256, Vector256<float>, NarrowTiles<Simd256, Vector256<float>>>,
            SimdIsa.Avx512 => &Call<TJob>.Invoke<Simd512, Vector512<float>, WideTiles<Simd512, Vector512<float>>>,
            SimdIsa.Neon => &Call<TJob>.Invoke<Simd128, Vector128<float>, NeonTiles>,

            // One table everywhere; only the tiles know what the hardware has.
            SimdIsa.Portable =>
                Vector512.IsHardwareAccelerated ? &Call<TJob>.Invoke<SimdPortable, Vector512<float>, PortableTiles<Simd512, Vector512<float>>>
                : Vector256.IsHardwareAccelerated ? &Call<TJob>.Invoke<SimdPortable, Vector512<float>, PortableTiles<Simd256, Vector256<float>>>
                : Vector128.IsHardwareAccelerated ? &Call<TJob>.Invoke<SimdPortable, Vector512<float>, PortableTiles<Simd128, Vector128<float>>>
                : &Call<TJob>.Invoke<SimdPortable, Vector512<float>, PortableTiles<SimdScalar, float>>,
            _ => throw new ArgumentOutOfRangeException(nameof(isa), isa, "is not an instruction set"),
        };

    private static float* Align(float* address) => (float*)(((nuint)address + CacheLine - 1) & ~(nuint)(CacheLine - 1));

    private void Grow(nint floatsPerWorker)
    {
        const int Line = CacheLine / sizeof(float);
        _scratchStride = (floatsPerWorker + Line - 1) / Line * Line;
        if (!IsPlanning)
            _scratch = GC.AllocateUninitializedArray<float>(checked((int)(_scratchStride * Workers) + Line), pinned: true);
    }

    private readonly struct Call<TJob>(TJob* job, float* scratch, nint scratchStride)
        where TJob : unmanaged, IKernelJob
    {
        private readonly TJob* _job = job;
        private readonly float* _scratch = scratch;
        private readonly nint _scratchStride = scratchStride;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Invoke<TOps, TVec, TTile>(void* argument, int part, int worker)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            var call = (Call<TJob>*)argument;
            call->_job->Run<TOps, TVec, TTile>(part, call->_scratch + (worker * call->_scratchStride));
        }
    }
}
