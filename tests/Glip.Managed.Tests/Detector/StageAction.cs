using Glip.Managed.Diagnostics;
using Glip.Managed.Weights;

namespace Glip.Tests.Detector;

/// <summary>Does something at every stage of a trace.</summary>
internal sealed class StageAction(Action<string> action) : IStageSink
{
    public void Add(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data) => action(name);
}
