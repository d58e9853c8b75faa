using System.Diagnostics;

namespace Glip.Managed.Diagnostics;

/// <summary>What one part of the network cost in one call.</summary>
/// <param name="Name">The part: <c>swin.stage2</c>, <c>VLFuse</c> (all layers together).</param>
/// <param name="Seconds">Time.</param>
/// <param name="MultiplyAdds">Multiply-adds of matrix products and convolutions, as executed.</param>
internal readonly record struct StageCost(string Name, double Seconds, long MultiplyAdds);

/// <summary>Sums time and arithmetic by part of the network. Parts that recur are added up.</summary>
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
    public void Mark(string name, long multiplyAdds)
    {
        long now = Stopwatch.GetTimestamp();
        var cost = new StageCost(name, Stopwatch.GetElapsedTime(_time, now).TotalSeconds, multiplyAdds - _multiplyAdds);
        (_time, _multiplyAdds) = (now, multiplyAdds);
        int index = _stages.FindIndex(stage => stage.Name == name);
        if (index < 0)
            _stages.Add(cost);
        else
            _stages[index] = new StageCost(name, _stages[index].Seconds + cost.Seconds, _stages[index].MultiplyAdds + cost.MultiplyAdds);
    }
}
