using System.Runtime.CompilerServices;

namespace Glip.Kernels;

/// <summary>What this machine can do at most, for benches to compare kernels with.</summary>
public static unsafe class MachinePeak
{
    private const int Chains = 12;
    private const int PartsPerWorker = 8;

    /// <summary>Multiply-adds from registers alone, in independent chains on all workers.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="rounds">Steps of each chain.</param>
    /// <returns>Float operations done (a multiply-add is two).</returns>
    public static long MultiplyAdd(KernelContext context, int rounds)
    {
        ArgumentNullException.ThrowIfNull(context);
        long operations = 0;
        var job = new ChainJob(rounds, &operations);
        context.Run(ref job, PartsPerWorker * context.Workers);
        return operations;
    }

    /// <summary>Reads memory once, shared out over all workers.</summary>
    /// <param name="context">Instruction set and workers.</param>
    /// <param name="memory">What to read; much larger than the caches for memory's bandwidth.</param>
    /// <returns>The sum, so that nothing is optimised away.</returns>
    public static float Read(KernelContext context, ReadOnlySpan<float> memory)
    {
        ArgumentNullException.ThrowIfNull(context);
        int parts = PartsPerWorker * context.Workers;
        var sums = new float[parts];
        fixed (float* pm = memory)
        fixed (float* ps = sums)
        {
            var job = new ReadJob(pm, memory.Length / parts, ps);
            context.Run(ref job, parts);
        }

        return sums.Sum();
    }

    private readonly struct ChainJob(int rounds, long* operations) : IKernelJob
    {
        private readonly long* _operations = operations;
        private readonly int _rounds = rounds;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            TVec x = TOps.Broadcast(1.0000001f), y = TOps.Broadcast(1e-9f);
            TVec a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
            for (int round = 0; round < _rounds; round++)
            {
                a = TOps.MultiplyAdd(a, x, y);
                b = TOps.MultiplyAdd(b, x, y);
                c = TOps.MultiplyAdd(c, x, y);
                d = TOps.MultiplyAdd(d, x, y);
                e = TOps.MultiplyAdd(e, x, y);
                f = TOps.MultiplyAdd(f, x, y);
                g = TOps.MultiplyAdd(g, x, y);
                h = TOps.MultiplyAdd(h, x, y);
                i = TOps.MultiplyAdd(i, x, y);
                j = TOps.MultiplyAdd(j, x, y);
                k = TOps.MultiplyAdd(k, x, y);
                l = TOps.MultiplyAdd(l, x, y);
            }

            TVec sum = TOps.Add(TOps.Add(TOps.Add(a, b), TOps.Add(c, d)), TOps.Add(TOps.Add(e, f), TOps.Add(g, h)));
            sum = TOps.Add(sum, TOps.Add(TOps.Add(i, j), TOps.Add(k, l)));

            // The result must matter to the count, or the chains could be removed.
            long done = 2L * Chains * TOps.Width * _rounds;
            Interlocked.Add(ref *_operations, float.IsNaN(TOps.Sum(sum)) ? 0 : done);
        }
    }

    private readonly struct ReadJob(float* memory, int length, float* sums) : IKernelJob
    {
        private readonly float* _memory = memory;
        private readonly float* _sums = sums;
        private readonly int _length = length;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            float* from = _memory + ((nint)part * _length);
            TVec a = TOps.Broadcast(0f), b = a, c = a, d = a;
            int i = 0;
            for (; i <= _length - (4 * TOps.Width); i += 4 * TOps.Width)
            {
                a = TOps.Add(a, TOps.Load(from + i));
                b = TOps.Add(b, TOps.Load(from + i + TOps.Width));
                c = TOps.Add(c, TOps.Load(from + i + (2 * TOps.Width)));
                d = TOps.Add(d, TOps.Load(from + i + (3 * TOps.Width)));
            }

            _sums[part] = TOps.Sum(TOps.Add(TOps.Add(a, b), TOps.Add(c, d))) + Rows.Sum<TOps, TVec>(from + i, _length - i);
        }
    }
}
