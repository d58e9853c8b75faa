namespace Glip.Tests;

/// <summary>
/// A buffer between fences of NaN: what reads beyond its ends is poisoned, what writes beyond them is seen by <see cref="Verify"/>. An output starts
/// as NaN too, so that what was not written shows.
/// </summary>
public sealed class Canary
{
    // Longer than the widest vector. Odd, so that nothing depends on alignment.
    private const int FenceFloats = 67;
    private const uint FencePattern = 0x7FC5_A5A5;

    private readonly float[] _memory;
    private readonly float[] _initial;

    private Canary(ReadOnlySpan<float> initial)
    {
        _initial = initial.ToArray();
        _memory = new float[initial.Length + (2 * FenceFloats)];
        Array.Fill(_memory, BitConverter.UInt32BitsToSingle(FencePattern));
        initial.CopyTo(Span);
    }

    /// <summary>The memory between the fences.</summary>
    public Span<float> Span => _memory.AsSpan(FenceFloats, _initial.Length);

    /// <summary>A buffer that holds <paramref name="values"/>.</summary>
    public static Canary Of(ReadOnlySpan<float> values) => new(values);

    /// <summary>A buffer of NaN.</summary>
    public static Canary Blank(int length)
    {
        var blank = new float[length];
        Array.Fill(blank, BitConverter.UInt32BitsToSingle(FencePattern));
        return new Canary(blank);
    }

    /// <summary>Fails if a fence was written to.</summary>
    public void Verify()
    {
        for (int i = 0; i < FenceFloats; i++)
        {
            Assert.True(BitConverter.SingleToUInt32Bits(_memory[i]) == FencePattern, $"wrote {FenceFloats - i} floats before the buffer");
            Assert.True(BitConverter.SingleToUInt32Bits(_memory[^(FenceFloats - i)]) == FencePattern, $"wrote {i} floats after the end of the buffer");
        }
    }

    /// <summary>Fails if a fence or the contents changed.</summary>
    public void VerifyUntouched()
    {
        Verify();
        for (int i = 0; i < _initial.Length; i++)
            Assert.True(BitConverter.SingleToUInt32Bits(Span[i]) == BitConverter.SingleToUInt32Bits(_initial[i]), $"changed element {i}, which it may only read");
    }

    public static implicit operator Span<float>(Canary canary) => canary.Span;

    public static implicit operator ReadOnlySpan<float>(Canary canary) => canary.Span;
}
