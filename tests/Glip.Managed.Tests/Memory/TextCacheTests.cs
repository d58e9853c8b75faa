using System.Collections.Concurrent;
using Glip.Managed.Memory;

namespace Glip.Tests.Memory;

public class TextCacheTests
{
    private const int Width = 3;

    // Two tokens of three numbers: 2 · 4 + 6 · 4.
    private const int EntryBytes = 32;

    [Fact]
    public void What_was_kept_is_found_by_its_tokens_and_nothing_else_is()
    {
        var cache = new TextCache(1000);
        Assert.False(Has(cache, 1));
        Keep(cache, 1);
        Assert.True(Has(cache, 1));
        Assert.False(Has(cache, 2));
        Assert.False(cache.TryGet(new[] { 1 }, new float[Width]));
        Assert.False(cache.TryGet(new[] { 1, 101, 0 }, new float[3 * Width]));
        Assert.Equal((1, 4, 1, EntryBytes), (cache.Hits, cache.Misses, cache.Count, cache.Bytes));
    }

    [Fact]
    public void The_least_recently_used_go_first()
    {
        var cache = new TextCache((3 * EntryBytes) + 1);
        foreach (int text in (int[])[1, 2, 3])
            Keep(cache, text);
        Assert.True(Has(cache, 1));
        Keep(cache, 4);
        Assert.Equal([true, false, true, true], new[] { 1, 2, 3, 4 }.Select(text => Has(cache, text)));
        Keep(cache, 5);
        Assert.Equal([false, false, true, true, true], new[] { 1, 2, 3, 4, 5 }.Select(text => Has(cache, text)));
        Assert.Equal((3, 3 * EntryBytes), (cache.Count, cache.Bytes));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(EntryBytes - 1)]
    public void A_text_over_the_limit_is_not_kept(int maxBytes)
    {
        var cache = new TextCache(maxBytes);
        Keep(cache, 1);
        Assert.False(Has(cache, 1));
        Assert.Equal((0, 0), (cache.Count, cache.Bytes));
    }

    [Fact]
    public void Kept_twice_is_kept_once()
    {
        var cache = new TextCache(1000);
        Keep(cache, 1);
        Keep(cache, 1);
        Assert.Equal((1, EntryBytes), (cache.Count, cache.Bytes));
    }

    [Fact]
    public void Threads_may_read_write_and_drive_out_at_once()
    {
        const int Texts = 8, Calls = 4000;
        var cache = new TextCache(3 * EntryBytes);
        var failures = new ConcurrentQueue<int>();
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(seed => new Thread(() => Work(new Random(seed))))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        Assert.Empty(failures);
        Assert.Equal(threads.Length * Calls, cache.Hits + cache.Misses);
        Assert.InRange(cache.Hits, 1, threads.Length * Calls - 1);
        Assert.Equal((3, 3 * EntryBytes), (cache.Count, cache.Bytes));

        void Work(Random random)
        {
            var hidden = new float[2 * Width];
            for (int i = 0; i < Calls; i++)
            {
                int text = random.Next(Texts);
                if (!cache.TryGet(Ids(text), hidden))
                    Keep(cache, text);
                else if (!hidden.AsSpan().SequenceEqual(Hidden(text)))
                    failures.Enqueue(text);
            }
        }
    }

    private static int[] Ids(int text) => [text, 101];

    private static float[] Hidden(int text) => [.. Enumerable.Range(0, 2 * Width).Select(i => text + (0.5f * i))];

    private static void Keep(TextCache cache, int text) => cache.Add(Ids(text), Hidden(text));

    private static bool Has(TextCache cache, int text)
    {
        var hidden = new float[2 * Width];
        bool found = cache.TryGet(Ids(text), hidden);
        Assert.Equal(found ? Hidden(text) : new float[2 * Width], hidden);
        return found;
    }
}
