using System.Diagnostics;

namespace Glip.Managed.Diagnostics;

/// <summary>What one part of the network cost in one call.</summary>
/// <param name="Name">The part: <c>swin.stage2</c>, <c>VLFuse</c> (all layers together).</param>
/// <param name="Seconds">Time.</param>
/// <param name="MultiplyAdds">Multiply-adds of matrix products and convolutions, as executed.</param>
/// <param name="Bytes">Most activation memory that was in use during it.</param>
internal readonly record struct StageCost(string Name, double Seconds, long MultiplyAdds, long Bytes);

/// <summary>Time, arithmetic and memory by part of the network. Parts that recur are added up; of their memory, the largest counts.</summary>
internal sealed class StageProfile
{
    private readonly List<StageCost> _stages = [];
    private long _time = Stopwatch.GetTimestamp();
    private long _multiplyAdds;

    /// <summary>Starts at an operation count.</summary>
    public StageProfile(long multiplyAdds) => _multiplyAdds = multiplyAdds;

    /// <summary>Parts in the order of their first mark.</summary>
    public IReadOnlyList<StageCost> Stages => _stages;

    /// <summary>Books everything since the last mark.</summary>
    /// <param name="name">The part that it belongs to.</param>
    /// <param name="multiplyAdds">Operation count so far.</param>
    /// <param name="bytes">Most memory that was in use since the last mark.</param>
    public void Mark(string name, long multiplyAdds, long bytes)
    {
        long now = Stopwatch.GetTimestamp();
        var cost = new StageCost(name, Stopwatch.GetElapsedTime(_time, now).TotalSeconds, multiplyAdds - _multiplyAdds, bytes);
        (_time, _multiplyAdds) = (now, multiplyAdds);
        int index = _stages.FindIndex(stage => stage.Name == name);
        if (index < 0)
        {
            _stages.Add(cost);
            return;
        }

        StageCost sum = _stages[index];
        _stages[index] = new StageCost(name, sum.Seconds + cost.Seconds, sum.MultiplyAdds + cost.MultiplyAdds, Math.Max(sum.Bytes, cost.Bytes));
    }
}
