using System.Runtime.InteropServices;
using Glip.Managed.Weights;

namespace Glip.Managed.Diagnostics;

/// <summary>Turns stages from this library's layouts (channels last) into the original's and hands them to a sink.</summary>
internal sealed class StageTrace(IStageSink sink)
{
    /// <summary>A map [H, W, C], recorded as [1, C, H, W].</summary>
    public void Map(string name, ReadOnlySpan<float> map, int height, int width, int channels)
    {
        int cells = height * width;
        var planes = new float[cells * channels];
        for (int cell = 0; cell < cells; cell++)
        {
            for (int c = 0; c < channels; c++)
                planes[(c * cells) + cell] = map[(cell * channels) + c];
        }

        Add(name, planes, [1, channels, height, width]);
    }

    /// <summary>Tokens [L, C], recorded as [1, L, C].</summary>
    public void Tokens(string name, ReadOnlySpan<float> tokens, int count, int channels) =>
        Add(name, tokens[..(count * channels)], [1, count, channels]);

    /// <summary>Any floats.</summary>
    public void Add(string name, ReadOnlySpan<float> values, ReadOnlySpan<int> shape) =>
        sink.Add(name, TensorType.F32, shape, MemoryMarshal.AsBytes(values));

    /// <summary>Any bytes.</summary>
    public void Add(string name, ReadOnlySpan<byte> values, ReadOnlySpan<int> shape) => sink.Add(name, TensorType.U8, shape, values);

    /// <summary>Any integers.</summary>
    public void Add(string name, ReadOnlySpan<long> values, ReadOnlySpan<int> shape) =>
        sink.Add(name, TensorType.I64, shape, MemoryMarshal.AsBytes(values));
}
