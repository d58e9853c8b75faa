namespace Glip.Kernels.Tests;

public unsafe class KernelContextTests
{
    [Fact]
    public void AMissingInstructionSetIsRefusedByName()
    {
        using var pool = new WorkerPool(1);
        SimdIsa[] missing = [.. SimdIsas.All.Except(SimdIsas.Available)];

        // No machine has both AVX2 and AdvSimd.
        Assert.NotEmpty(missing);
        foreach (SimdIsa isa in missing)
        {
            var error = Assert.Throws<PlatformNotSupportedException>(() => new KernelContext(isa, pool));
            Assert.StartsWith($"instruction set '{isa.Name()}' cannot run here: this process has ", error.Message);
            Assert.EndsWith("scalar, portable", error.Message);
        }
    }

    [Fact]
    public void ANullPoolIsRefused() => Assert.Throws<ArgumentNullException>(() => new KernelContext(SimdIsa.Scalar, null!));

    [Theory]
    [EachIsa]
    public void AJobGetsTheTypesOfItsContextsInstructionSet(SimdIsa isa)
    {
        using var context = new KernelContext(isa);
        int width = 0;
        PanelLayout layout = default;
        var job = new TypesJob(&width, &layout);
        context.Run(ref job, 1);
        Assert.Equal(isa, context.Isa);
        Assert.Equal(GemmTable.Layout(isa), layout);
        Assert.Equal(0, layout.Granule % width);
        Assert.Equal(0, layout.Width % layout.Granule);
    }

    [Fact]
    public void EachWorkerHasAlignedScratchMemoryOfItsOwn()
    {
        const int Workers = 3, Parts = 3000;
        using var context = new KernelContext(SimdIsas.Best, Workers);
        var addresses = stackalloc nint[Parts];
        var job = new ScratchJob(addresses, 100);
        context.Run(ref job, Parts, 100);
        nint[] distinct = [.. new Span<nint>(addresses, Parts).ToArray().Distinct().Order()];
        Assert.InRange(distinct.Length, 1, Workers);
        Assert.All(distinct, address => Assert.Equal(0, address % 64));
        for (int i = 1; i < distinct.Length; i++)
            Assert.True(distinct[i] - distinct[i - 1] >= 100 * sizeof(float), "scratch memory overlaps");
    }

    [Fact]
    public void ScratchMemoryIsThatOfTheNeediestJob()
    {
        using var context = new KernelContext(SimdIsas.Best, 2);
        int ran = 0;
        var job = new CountJob(&ran);
        Assert.Equal(0, context.ScratchFloats);
        context.Run(ref job, 1, 33);
        Assert.Equal(2 * 48, context.ScratchFloats);
        context.Run(ref job, 1, 7);
        Assert.Equal(2 * 48, context.ScratchFloats);
        context.ReserveScratch(200);
        Assert.InRange(context.ScratchFloats, 200, 230);
        Assert.Equal(2, ran);
    }

    [Fact]
    public void APlanningContextRunsNothingAndReportsWhatARealOneNeeds()
    {
        using var pool = new WorkerPool(2);
        using var planning = new KernelContext(SimdIsas.Best, pool, planning: true);
        int ran = 0;
        var job = new CountJob(&ran);
        planning.Run(ref job, 10, 1000);
        Assert.Equal(0, ran);
        Assert.True(planning.IsPlanning);

        using var context = new KernelContext(SimdIsas.Best, pool);
        context.ReserveScratch(planning.ScratchFloats);
        Assert.Equal(planning.ScratchFloats, context.ScratchFloats);
        context.Run(ref job, 10, 1000);
        Assert.Equal(10, ran);
        Assert.Equal(planning.ScratchFloats, context.ScratchFloats);
    }

    [Fact]
    public void NoPartsDoNothing()
    {
        using var context = new KernelContext(SimdIsas.Best, 2);
        int ran = 0;
        var job = new CountJob(&ran);
        context.Run(ref job, 0, 16);
        Assert.Equal(0, ran);
    }

    [Fact]
    public void ASharedPoolOutlivesItsContexts()
    {
        using var pool = new WorkerPool(2);
        int ran = 0;
        var job = new CountJob(&ran);
        var first = new KernelContext(SimdIsas.Best, pool);
        first.Dispose();
        using var second = new KernelContext(SimdIsas.Best, pool);
        second.Run(ref job, 5);
        Assert.Equal(5, ran);
    }

    private readonly struct TypesJob(int* width, PanelLayout* layout) : IKernelJob
    {
        private readonly int* _width = width;
        private readonly PanelLayout* _layout = layout;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            Assert.Equal(sizeof(TVec), TOps.Width * sizeof(float));
            *_width = TOps.Width;
            *_layout = TTile.Layout;
        }
    }

    private readonly struct ScratchJob(nint* addresses, int floats) : IKernelJob
    {
        private readonly nint* _addresses = addresses;
        private readonly int _floats = floats;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel
        {
            new Span<float>(scratch, _floats).Fill(part);
            _addresses[part] = (nint)scratch;
        }
    }

    private readonly struct CountJob(int* count) : IKernelJob
    {
        private readonly int* _count = count;

        public void Run<TOps, TVec, TTile>(int part, float* scratch)
            where TOps : struct, ISimd<TVec>
            where TVec : unmanaged
            where TTile : struct, IGemmMicroKernel => Interlocked.Increment(ref *_count);
    }
}
