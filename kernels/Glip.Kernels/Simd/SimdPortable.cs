using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vec = System.Runtime.Intrinsics.Vector512<float>;

namespace Glip.Kernels;

/// <summary>
/// The table whose results have the same bits on every processor: 16 lanes whatever the hardware's vectors are, every operation rounded once as IEEE 754 says, sums over
/// lanes in one fixed tree. The runtime makes one, two, four or sixteen machine operations of each.
/// </summary>
/// <remarks>
/// Multiply-adds are not fused: fusing in software, where the hardware cannot, costs tens of times a multiplication and an addition. So every operation equals
/// <see cref="SimdScalar"/>'s on each lane, and remainders of rows round as vectors do. Only a NaN's sign and payload are the hardware's.
/// </remarks>
internal readonly unsafe struct SimdPortable : ISimd<Vec>
{
    public static int Width => Vec.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Load(float* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vec value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Broadcast(float value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Add(Vec a, Vec b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Subtract(Vec a, Vec b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Multiply(Vec a, Vec b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Divide(Vec a, Vec b) => a / b;

    /// <summary><c>a·b + c</c>, rounded twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec MultiplyAdd(Vec a, Vec b, Vec c) => (a * b) + c;

    // Comparisons instead of the hardware's minimum and maximum, which differ in what they make of zeros of both signs and of NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Min(Vec a, Vec b) => SelectLess(a, b, a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Max(Vec a, Vec b) => SelectLess(b, a, a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Abs(Vec a) => Vector512.Abs(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Sqrt(Vec a) => Vector512.Sqrt(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec SelectLess(Vec a, Vec b, Vec x, Vec y) => Vector512.ConditionalSelect(Vector512.LessThan(a, b), x, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool AnyLess(Vec a, Vec b) => Vector512.LessThanAny(a, b);

    // Not the hardware's own conversion: it need not agree on what is out of range.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec PowerOfTwo(Vec n) => ((Vector512.ConvertToInt32(n) + Vector512.Create(127)) << 23).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vec Expand(ushort* source, uint mask, int shift, uint add) => Simd512.Expand(source, mask, shift, add);

    /// <summary>Lane i and lane i + 8, then + 4, + 2, + 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vec a)
    {
        Vector256<float> eight = a.GetLower() + a.GetUpper();
        Vector128<float> four = eight.GetLower() + eight.GetUpper();
        return (four[0] + four[2]) + (four[1] + four[3]);
    }

    /// <summary>In the same order as <see cref="Sum"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxAcross(Vec a)
    {
        Vector256<float> low = a.GetLower(), high = a.GetUpper();
        Vector256<float> eight = Vector256.ConditionalSelect(Vector256.GreaterThan(low, high), low, high);
        Vector128<float> first = eight.GetLower(), second = eight.GetUpper();
        Vector128<float> four = Vector128.ConditionalSelect(Vector128.GreaterThan(first, second), first, second);
        return SimdScalar.Max(SimdScalar.Max(four[0], four[2]), SimdScalar.Max(four[1], four[3]));
    }

    public static void Transpose(float* source, nint sourceStride, float* target, nint targetStride) =>
        Simd512.Transpose(source, sourceStride, target, targetStride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PrefetchNear(float* address) => Simd512.PrefetchNear(address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PrefetchFar(float* address) => Simd512.PrefetchFar(address);
}
