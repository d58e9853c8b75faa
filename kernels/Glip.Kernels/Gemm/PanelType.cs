namespace Glip.Kernels;

/// <summary>How panels hold their numbers. All arithmetic is in single precision: half-size panels are widened, exactly, piece by piece when a product visits them.</summary>
public enum PanelType
{
    /// <summary>IEEE 754 binary32.</summary>
    Single,

    /// <summary>IEEE 754 binary16, finite.</summary>
    Half,

    /// <summary>The upper half of binary32.</summary>
    BFloat16,
}

/// <summary>Sizes and widening of <see cref="PanelType"/>.</summary>
public static class PanelTypes
{
    /// <summary>Bytes of a number.</summary>
    public static int ElementBytes(this PanelType type) => type switch
    {
        PanelType.Single => sizeof(float),
        PanelType.Half or PanelType.BFloat16 => sizeof(ushort),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "is not a type of panels"),
    };

    /// <summary>Writes half-size numbers in single precision.</summary>
    /// <param name="context">Instruction set.</param>
    /// <param name="type"><see cref="PanelType.Half"/> or <see cref="PanelType.BFloat16"/>.</param>
    /// <param name="source">Their bits.</param>
    /// <param name="target">As many numbers.</param>
    public static unsafe void Widen(KernelContext context, PanelType type, ReadOnlySpan<ushort> source, Span<float> target)
    {
        ArgumentNullException.ThrowIfNull(context);
        Check.That(type != PanelType.Single, $"{type} is not half-size", nameof(type));
        Check.Length(target, source.Length, nameof(target));
        fixed (ushort* ps = source)
        fixed (float* pt = target)
        {
            var job = new Job(type, ps, pt, source.Length);
            context.Run(ref job, 1);
        }
    }

    private readonly unsafe struct Job(PanelType type, ushort* source, float* target, int count) : IKernelJob
    {
        private readonly ushort* _source = source;
        private readonly float* _target = target;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel => Widening.Run<TOps, TVec>(type, _source, _target, count);
    }
}
