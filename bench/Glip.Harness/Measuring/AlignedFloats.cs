using System.Runtime.InteropServices;

namespace Glip.Harness.Measuring;

/// <summary>Memory on a cache line's boundary that does not move, as a model's activations have it.</summary>
internal sealed class AlignedFloats
{
    // One cache line.
    private const int Alignment = 16;

    private readonly float[] _memory;
    private readonly int _start;
    private readonly int _length;

    /// <summary>Zeros.</summary>
    public AlignedFloats(long length)
    {
        _length = checked((int)length);
        _memory = GC.AllocateArray<float>(checked(_length + Alignment), pinned: true);
        long misaligned = Marshal.UnsafeAddrOfPinnedArrayElement(_memory, 0) / sizeof(float) % Alignment;
        _start = (int)((Alignment - misaligned) % Alignment);
    }

    public Span<float> Span => _memory.AsSpan(_start, _length);

    /// <summary>The same numbers in each run, evenly spread over ± <paramref name="size"/>.</summary>
    public static AlignedFloats Noise(long length, float size = 1)
    {
        var noise = new AlignedFloats(length);
        uint state = 0x9E3779B9;
        foreach (ref float value in noise.Span)
        {
            // Marsaglia's xorshift: fast, and good enough for numbers that only have to be unlike each other.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            value = size * (int)state / (1L << 31);
        }

        return noise;
    }
}
