using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Glip.Managed.Imaging.Codecs.Jpeg;

/// <summary>
/// Bits of one entropy-coded segment, the highest of a byte first. Behind the segment it reads zeros, as many as
/// <see cref="Slack"/> allows; who reads asks <see cref="Overrun"/> after each MCU.
/// </summary>
/// <param name="data">The segment without stuffed bytes, followed by <see cref="Slack"/> zeros.</param>
internal ref struct JpegBitReader(ReadOnlySpan<byte> data)
{
    /// <summary>More than what the longest MCU can take: 10 blocks of 64 coefficients of 31 bits, and one refill.</summary>
    public const int Slack = 4096;

    private readonly ReadOnlySpan<byte> _data = data;
    private ulong _bits; // the next bit is the highest; bits below _count are already right or 0
    private int _count;
    private int _position;

    /// <summary>The next bits at the top; at least 56 are there after <see cref="Refill"/>.</summary>
    public readonly ulong Bits => _bits;

    /// <summary>Whether more bits were used than the segment has.</summary>
    public readonly bool Overrun => 8L * _position - _count > 8L * (_data.Length - Slack);

    /// <summary>Makes at least 56 bits available.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Refill()
    {
        // Reads 8 bytes but advances by whole free bytes only; the rest is read again, to the same places.
        _bits |= BinaryPrimitives.ReadUInt64BigEndian(_data.Slice(_position, sizeof(ulong))) >> _count;
        _position += (63 - _count) >> 3;
        _count |= 56;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void RefillIfBelow(int needed)
    {
        if (_count < needed)
            Refill();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Skip(int count)
    {
        _bits <<= count;
        _count -= count;
    }

    /// <summary>Takes <paramref name="count"/> bits, 1 to 16, that must be available.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Take(int count)
    {
        int value = (int)(_bits >> (64 - count));
        Skip(count);
        return value;
    }

    /// <summary>Takes one bit, from the data if need be.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TakeBit()
    {
        RefillIfBelow(1);
        bool bit = (long)_bits < 0;
        Skip(1);
        return bit;
    }

    /// <summary>Takes a difference or coefficient of <paramref name="size"/> bits, 1 to 15, that must be available.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int TakeSigned(int size) => Extend(Take(size), size);

    /// <summary>The sign extension of T.81 F.2.2.1: values without their top bit set stand for negative ones.</summary>
    public static int Extend(int value, int size) => value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}
