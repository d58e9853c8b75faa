using System.Buffers;
using System.Runtime.InteropServices;
using Glip.Managed;

namespace Glip.Tests.Detector;

/// <summary>Workspaces from the host's own memory.</summary>
public class WorkspacePoolTests
{
    private static readonly NoisePicture s_small = new(60, 40);
    private static readonly NoisePicture s_large = new(150, 90);
    private static readonly DetectOptions s_options = new() { MinSize = 0, Threshold = 0 };

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    public void Native_memory_at_any_address_gives_the_same_bits(int shift)
    {
        using GlipDetector plain = SmallModel.Load();
        using var pool = new NativePool { Shift = shift };
        using GlipDetector detector = Load(pool);
        Assert.Equal(Found(plain, s_small), Found(detector, s_small));
        Assert.Equal(Found(plain, s_large), Found(detector, s_large));
    }

    [Fact]
    public void Memory_is_kept_for_calls_that_it_is_enough_for_and_given_back_before_more_is_taken()
    {
        using var pool = new NativePool();
        using (GlipDetector detector = Load(pool))
        {
            Assert.Equal(0, pool.Rentals);
            Found(detector, s_small);
            Found(detector, s_small);
            Assert.Equal(1, pool.Rentals);
            Found(detector, s_large);
            Found(detector, s_small);
            Assert.Equal(2, pool.Rentals);
            Assert.Equal(1, pool.Live);
            Assert.Equal(1, pool.MostLive);
            Assert.Equal(1, pool.Pinned);
        }

        Assert.Equal(0, pool.Live);
        Assert.Equal(0, pool.Pinned);
    }

    [Fact]
    public void A_call_that_runs_while_the_detector_is_disposed_gives_its_memory_back_too()
    {
        using var pool = new NativePool();
        GlipDetector detector = Load(pool);
        bool disposed = false;
        detector.Trace(s_small.View, SmallModel.Prompt, new StageAction(name =>
        {
            if (!disposed && name.StartsWith("final", StringComparison.Ordinal))
            {
                detector.Dispose();
                disposed = true;
            }
        }), s_options);
        Assert.True(disposed);
        Assert.Equal(1, pool.Rentals);
        Assert.Equal(0, pool.Live);
    }

    [Fact]
    public void A_pool_that_gives_too_little_is_named_and_smaller_calls_go_on()
    {
        using var pool = new NativePool { Shortage = 1 };
        using GlipDetector detector = Load(pool);
        Assert.Matches("^the memory pool was asked for [0-9]+ floats of workspace and gave [0-9]+$", Refused(s_small));
        Assert.Equal(0, pool.Live);
        pool.Shortage = 0;
        Found(detector, s_small);
        pool.Largest = 1000;
        Assert.Matches("^the call needs [0-9]+ floats of workspace, the memory pool gives 1000 at most$", Refused(s_large));
        pool.Largest = int.MaxValue;
        Found(detector, s_small);

        string Refused(NoisePicture picture) => Assert.Throws<InvalidOperationException>(() => Found(detector, picture)).Message;
    }

    [Fact]
    public void A_pool_without_memory_says_how_much_the_call_needs()
    {
        using var pool = new NativePool { IsEmpty = true };
        using GlipDetector detector = Load(pool);
        long needed = detector.WorkspaceBytes(40, 60, SmallModel.Prompt, s_options);
        var refused = Assert.Throws<InsufficientMemoryException>(() => Found(detector, s_small));
        Assert.Contains($"needs {needed} bytes of workspace", refused.Message, StringComparison.Ordinal);
    }

    private static GlipDetector Load(MemoryPool<float> pool) =>
        GlipDetector.Load(SmallModel.Weights(), new GlipOptions { Threads = 1, WorkspacePool = pool });

    private static string Found(GlipDetector detector, NoisePicture picture)
    {
        string found = SmallModel.Exact(detector.Detect(picture.View, SmallModel.Prompt, s_options));
        Assert.NotEmpty(found);
        return found;
    }

    /// <summary>Memory of the C heap, which counts what is out and pinned.</summary>
    private sealed class NativePool : MemoryPool<float>
    {
        public int Shift { get; init; }

        public int Shortage { get; set; }

        public bool IsEmpty { get; init; }

        public int Largest { get; set; } = int.MaxValue;

        public int Rentals { get; private set; }

        public int Live { get; private set; }

        public int MostLive { get; private set; }

        public int Pinned { get; private set; }

        public override int MaxBufferSize => Largest;

        public override IMemoryOwner<float> Rent(int minBufferSize = -1)
        {
            if (IsEmpty)
                throw new OutOfMemoryException();
            Rentals++;
            MostLive = Math.Max(MostLive, ++Live);
            return new Block(this, minBufferSize - Shortage, Shift);
        }

        protected override void Dispose(bool disposing)
        {
        }

        private sealed unsafe class Block(NativePool pool, int length, int shift) : MemoryManager<float>
        {
            private readonly int _length = length;
            private float* _memory = (float*)NativeMemory.AlignedAlloc((nuint)(length + shift) * sizeof(float), 64);

            public override Span<float> GetSpan() => new(_memory + shift, _length);

            public override MemoryHandle Pin(int elementIndex = 0)
            {
                pool.Pinned++;
                return new MemoryHandle(_memory + shift + elementIndex, pinnable: this);
            }

            public override void Unpin() => pool.Pinned--;

            protected override void Dispose(bool disposing)
            {
                pool.Live--;
                NativeMemory.AlignedFree(_memory);
                _memory = null;
            }
        }
    }
}
