namespace Glip.Kernels;

/// <summary>
/// A kernel's work, cut into independent parts. The struct holds pointers that its entry method pinned: spans cannot cross
/// threads. <see cref="KernelContext.Run{TJob}"/> picks the type arguments for the instruction set in force, once a call.
/// </summary>
internal unsafe interface IKernelJob
{
    /// <summary>Does one part.</summary>
    /// <param name="part">Which one, from 0.</param>
    /// <param name="scratch">Memory of this worker, of the size that the job asked for; 64-byte aligned, contents undefined.</param>
    /// <typeparam name="TOps">Op table.</typeparam>
    /// <typeparam name="TVec">Its vector type.</typeparam>
    /// <typeparam name="TTile">GEMM tile of the instruction set.</typeparam>
    void Run<TOps, TVec, TTile>(int part, float* scratch)
        where TOps : struct, ISimd<TVec>
        where TVec : unmanaged
        where TTile : struct, IGemmMicroKernel;
}
