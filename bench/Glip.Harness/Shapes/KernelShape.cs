using Glip.Kernels;

namespace Glip.Harness.Shapes;

/// <summary>One kernel at one size: what the harness times.</summary>
internal abstract record KernelShape
{
    /// <summary>The kernel and the way in which its shapes are written.</summary>
    public abstract KernelKind Kind { get; }

    /// <summary>The shape as <see cref="KernelKind.Parse"/> reads it; modifiers at their defaults are left out.</summary>
    public abstract string Text { get; }

    /// <summary>Multiply-adds of the direct algorithm, whatever the kernel does inside.</summary>
    public abstract long MultiplyAdds { get; }

    /// <summary>Multiply-adds that the kernel executes.</summary>
    public virtual long Executed => MultiplyAdds;

    /// <summary>Makes inputs and weights.</summary>
    /// <param name="context">Instruction set and workers of the calls.</param>
    /// <returns>One call of the kernel. It may be made any number of times.</returns>
    public abstract Action Prepare(KernelContext context);

    public sealed override string ToString() => $"{Kind.Name} {Text}";
}
