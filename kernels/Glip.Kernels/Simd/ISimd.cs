namespace Glip.Kernels;

/// <summary>
/// The vocabulary in which portable kernels are written: one table of operations a vector width. <typeparamref name="TVec"/> is
/// the raw vector type, so that the machine code is that of hand-written intrinsics.
/// </summary>
/// <remarks>Minimum and maximum follow the hardware, which does not promise to propagate NaN.</remarks>
internal unsafe interface ISimd<TVec>
    where TVec : unmanaged
{
    /// <summary>Floats in a vector.</summary>
    static abstract int Width { get; }

    static abstract TVec Load(float* source);

    static abstract void Store(TVec value, float* destination);

    static abstract TVec Broadcast(float value);

    static abstract TVec Add(TVec a, TVec b);

    static abstract TVec Subtract(TVec a, TVec b);

    static abstract TVec Multiply(TVec a, TVec b);

    static abstract TVec Divide(TVec a, TVec b);

    /// <summary><c>a·b + c</c>, fused where the hardware fuses: the last bit may differ between instruction sets.</summary>
    static abstract TVec MultiplyAdd(TVec a, TVec b, TVec c);

    static abstract TVec Min(TVec a, TVec b);

    static abstract TVec Max(TVec a, TVec b);

    static abstract TVec Abs(TVec a);

    static abstract TVec Sqrt(TVec a);

    /// <summary><c>a &lt; b ? x : y</c> per lane.</summary>
    static abstract TVec SelectLess(TVec a, TVec b, TVec x, TVec y);

    /// <summary>Whether <c>a &lt; b</c> in any lane.</summary>
    static abstract bool AnyLess(TVec a, TVec b);

    /// <summary>Whether <see cref="NormalTail"/> exists: only where one instruction looks up enough constants.</summary>
    static virtual bool HasNormalTail => false;

    /// <summary>The lower tail Φ(−<paramref name="u"/>) of the normal distribution for u from 0 to 5.75, within 2 ulp.</summary>
    static virtual TVec NormalTail(TVec u) => throw new NotSupportedException();

    /// <summary>2 to the power of <paramref name="n"/>, which holds whole numbers from −126 to 127.</summary>
    static abstract TVec PowerOfTwo(TVec n);

    /// <summary>The bits of Width half-size numbers as integers i, each turned into the float whose bits are <c>((i &amp; mask) &lt;&lt; shift) + add</c>.</summary>
    static abstract TVec Expand(ushort* source, uint mask, int shift, uint add);

    /// <summary>Sum of all lanes.</summary>
    static abstract float Sum(TVec a);

    /// <summary>Transposes a block of Width × Width floats: element (i, j) goes to (j, i).</summary>
    static abstract void Transpose(float* source, nint sourceStride, float* target, nint targetStride);

    /// <summary>Fetches a cache line into the first-level cache; any address will do. Nothing where .NET offers no such instruction.</summary>
    static abstract void PrefetchNear(float* address);

    /// <summary>Fetches a cache line into the second-level cache.</summary>
    static abstract void PrefetchFar(float* address);

    /// <summary>Largest lane.</summary>
    static abstract float MaxAcross(TVec a);
}
