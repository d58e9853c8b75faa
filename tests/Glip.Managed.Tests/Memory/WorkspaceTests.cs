using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using Glip.Managed.Memory;

namespace Glip.Tests.Memory;

public class WorkspaceTests
{
    [Fact]
    public void Any_sequence_needs_what_its_plan_said_and_buffers_never_overlap() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            var planning = Workspace.CreatePlanning();
            Replay(planning, seed, marked: false);
            var workspace = Workspace.Create();
            workspace.Reserve(planning.PeakFloats);
            Replay(workspace, seed, marked: true);
            Assert.Equal(planning.PeakFloats, workspace.PeakFloats);
            Assert.Equal(0, workspace.Rented);
            Assert.Equal(planning.PeakFloats, workspace.Capacity);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Buffers_start_at_cache_lines()
    {
        var workspace = Workspace.Create();
        workspace.Reserve(1000);
        for (int i = 0; i < 5; i++)
        {
            WorkspaceBuffer buffer = workspace.Rent(17 * i);
            Assert.Equal(0, Address(buffer) % 64);
            Assert.Equal(17 * i, buffer.Span.Length);
        }
    }

    [Fact]
    public void A_released_gap_is_used_again()
    {
        var workspace = Workspace.CreatePlanning();
        WorkspaceBuffer first = workspace.Rent(160), second = workspace.Rent(320);
        first.Dispose();
        WorkspaceBuffer smaller = workspace.Rent(100);
        Assert.Equal(480, workspace.PeakFloats);
        WorkspaceBuffer larger = workspace.Rent(160);
        Assert.Equal(640, workspace.PeakFloats);
        smaller.Dispose();
        second.Dispose();
        larger.Dispose();
        Assert.Equal(0, workspace.Rented);
    }

    [Fact]
    public void The_recent_peak_starts_anew_from_what_is_still_rented_whenever_it_is_asked_for()
    {
        var workspace = Workspace.CreatePlanning();
        WorkspaceBuffer first = workspace.Rent(160), second = workspace.Rent(320);
        second.Dispose();
        Assert.Equal(480, workspace.TakeRecentPeakFloats());
        Assert.Equal(160, workspace.TakeRecentPeakFloats());
        workspace.Rent(32).Dispose();
        first.Dispose();
        Assert.Equal(192, workspace.TakeRecentPeakFloats());
        Assert.Equal(0, workspace.TakeRecentPeakFloats());
        Assert.Equal(480, workspace.PeakFloats);
    }

    [Fact]
    public void More_than_the_plan_is_refused()
    {
        var workspace = Workspace.Create();
        workspace.Reserve(32);
        using WorkspaceBuffer all = workspace.Rent(32);
        Assert.Throws<InvalidOperationException>(() => workspace.Rent(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => workspace.Rent(-1));
    }

    [Fact]
    public void Memory_is_kept_when_less_is_needed_and_never_moved_under_a_buffer()
    {
        var workspace = Workspace.Create();
        workspace.Reserve(1000);
        workspace.Reserve(10);
        Assert.Equal(1000, workspace.Capacity);
        using WorkspaceBuffer buffer = workspace.Rent(10);
        Assert.Throws<InvalidOperationException>(() => workspace.Reserve(2000));
    }

    [Fact]
    public void A_pass_cut_short_leaves_nothing_behind()
    {
        var workspace = Workspace.Create();
        workspace.Reserve(64);
        WorkspaceBuffer forgotten = workspace.Rent(64);
        workspace.Reset();
        Assert.Equal(0, workspace.Rented);
        forgotten.Dispose();
        using WorkspaceBuffer next = workspace.Rent(64);
        Assert.Equal(1, workspace.Rented);
    }

    /// <summary>Rents and releases at random, lifetimes crossing; if <paramref name="marked"/>, every buffer must keep its own mark.</summary>
    private static void Replay(Workspace workspace, int seed, bool marked)
    {
        var random = new Random(seed);
        int marks = 0;
        Nest(0);

        void Nest(int depth)
        {
            Marked a = Rent(), b = Rent(), c = Rent();
            if (depth < 6)
                Nest(depth + 1);
            Release(a);
            Marked d = Rent();
            if (depth < 6 && random.Next(3) == 0)
                Nest(depth + 1);
            Release(b);
            Release(d);
            Release(c);
        }

        Marked Rent()
        {
            var rented = new Marked(workspace.Rent(random.Next(4) == 0 ? 0 : random.Next(200)), ++marks);
            if (marked)
                rented.Buffer.Span.Fill(rented.Mark);
            return rented;
        }

        void Release(Marked rented)
        {
            if (marked)
                Assert.Equal(-1, rented.Buffer.Span.IndexOfAnyExcept((float)rented.Mark));
            rented.Buffer.Dispose();
        }
    }

    private static unsafe long Address(WorkspaceBuffer buffer)
    {
        fixed (float* address = &MemoryMarshal.GetReference(buffer.Span))
            return (long)address;
    }

    private readonly ref struct Marked(WorkspaceBuffer buffer, int mark)
    {
        public readonly WorkspaceBuffer Buffer = buffer;
        public readonly int Mark = mark;
    }
}
