using Glip.Managed.Weights;

namespace Glip.Managed.Diagnostics;

/// <summary>Collects the stages of one traced call and writes them as a safetensors file, to be compared with another implementation's.</summary>
/// <remarks>All stages are kept in memory, since the file's header, which comes first, must name them all: a few GB for a full-size model and picture.</remarks>
public sealed class StageFile : IStageSink
{
    private readonly List<TensorDeclaration> _stages = [];
    private readonly List<byte[]> _data = [];

    /// <summary>Stages collected so far.</summary>
    public int Count => _stages.Count;

    /// <inheritdoc/>
    public void Add(string name, TensorType type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        _stages.Add(new TensorDeclaration(name, type, shape.ToArray()));
        _data.Add(data.ToArray());
    }

    /// <summary>Writes the file, complete or not at all.</summary>
    /// <param name="path">Where to; an existing file is replaced.</param>
    /// <param name="metadata">Text pairs for the file's header, such as the model and the prompt.</param>
    /// <exception cref="ArgumentException">A stage was added twice, or its data does not have its shape's length.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path, IEnumerable<KeyValuePair<string, string>>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using var writer = new SafetensorsWriter(path, _stages, metadata ?? []);
        for (int i = 0; i < _stages.Count; i++)
            writer.Write(_stages[i].Name, _data[i]);
        writer.Commit();
    }
}
