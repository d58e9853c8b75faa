using System.Buffers;
using System.Runtime.InteropServices;

namespace Glip.Managed.Memory;

/// <summary>Where workspaces come from unless the host brings its own pool: arrays of the pinned heap, left to the garbage collector when they are given back.</summary>
internal sealed class PinnedMemoryPool : MemoryPool<float>
{
    /// <summary>The only one: it holds nothing.</summary>
    public static PinnedMemoryPool Instance { get; } = new();

    public override int MaxBufferSize => Array.MaxLength;

    public override IMemoryOwner<float> Rent(int minBufferSize = -1)
    {
        float[] array = GC.AllocateUninitializedArray<float>(Math.Max(0, minBufferSize), pinned: true);
        return new Owner(MemoryMarshal.CreateFromPinnedArray(array, 0, array.Length));
    }

    protected override void Dispose(bool disposing)
    {
    }

    private sealed class Owner(Memory<float> memory) : IMemoryOwner<float>
    {
        public Memory<float> Memory { get; private set; } = memory;

        public void Dispose() => Memory = default;
    }
}
