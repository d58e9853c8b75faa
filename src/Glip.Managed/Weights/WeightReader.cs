using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>Takes a model's tensors out of a <see cref="WeightSource"/>, strictly: each has exactly the expected shape and finite values.</summary>
/// <remarks>Layers spell names as the checkpoint does, relative to their prefix: <c>reader.Under("layers.0.").Vector("norm1.weight", 96)</c>.</remarks>
internal sealed class WeightReader(WeightSource source, KernelContext kernels, string prefix = "")
{
    /// <summary>Decides how matrices are packed.</summary>
    public KernelContext Kernels { get; } = kernels;

    /// <summary>A reader whose names start with one more piece.</summary>
    public WeightReader Under(string piece) => new(source, Kernels, prefix + piece);

    /// <summary>A tensor's values in a new array.</summary>
    /// <exception cref="GlipFormatException">Missing, of another shape, or not finite.</exception>
    public float[] Values(string name, params ReadOnlySpan<int> shape)
    {
        WeightTensor tensor = Find(name, shape);
        int count = 1;
        foreach (int size in shape)
            count = checked(count * size);
        var values = new float[count];
        TensorConversion.ReadSingles(tensor, values);
        CheckFinite(tensor.Name, values);
        return values;
    }

    /// <summary>A single number stored as [1].</summary>
    public float Scalar(string name) => Values(name, 1)[0];

    /// <summary>A linear layer's <c>weight</c> [outputs, inputs] and <c>bias</c> [outputs], packed.</summary>
    public PackedMatrix Linear(string name, int outputs, int inputs) =>
        PackedMatrix.FromRows(Kernels, Values(name + ".weight", outputs, inputs), outputs, inputs, Values(name + ".bias", outputs));

    /// <summary>A linear layer without bias.</summary>
    public PackedMatrix LinearWithoutBias(string name, int outputs, int inputs) =>
        PackedMatrix.FromRows(Kernels, Values(name + ".weight", outputs, inputs), outputs, inputs, []);

    /// <summary>A convolution's <c>weight</c> [outputs, inputs, side, side] and <c>bias</c>, packed for channels-last windows; both times <paramref name="scale"/>.</summary>
    public PackedMatrix Convolution(string name, int outputs, int inputs, int side, float scale = 1)
    {
        float[] weight = Conv2d.ToChannelsLast(Values(name + ".weight", outputs, inputs, side, side), outputs, inputs, side * side);
        float[] bias = Values(name + ".bias", outputs);
        if (scale != 1)
        {
            TensorPrimitives.Multiply(weight, scale, weight);
            TensorPrimitives.Multiply(bias, scale, bias);
        }

        return PackedMatrix.FromRows(Kernels, weight, outputs, inputs * side * side, bias);
    }

    /// <summary>A 3×3 convolution's <c>weight</c> [outputs, inputs, 3, 3] and <c>bias</c>, transformed for stride 1.</summary>
    public WinogradFilter Winograd(string name, int outputs, int inputs) =>
        WinogradFilter.Pack(Kernels, Values(name + ".weight", outputs, inputs, 3, 3), outputs, inputs, Values(name + ".bias", outputs));

    /// <summary>A norm's <c>weight</c> and <c>bias</c>.</summary>
    public NormWeights Norm(string name, int channels) => new(Values(name + ".weight", channels), Values(name + ".bias", channels));

    private WeightTensor Find(string name, ReadOnlySpan<int> shape)
    {
        if (!source.TryGetTensor(prefix + name, out WeightTensor tensor))
            throw new GlipFormatException($"{source.Name}: tensor {prefix}{name} is missing (expected {Describe(shape)})");
        if (!tensor.Shape.SequenceEqual(shape))
            throw new GlipFormatException($"{source.Name}: tensor {tensor.Name} has shape {Describe(tensor.Shape)}, expected {Describe(shape)}");
        return tensor;
    }

    private void CheckFinite(string name, ReadOnlySpan<float> values)
    {
        // The largest magnitude is the first NaN if there is one.
        int index = TensorPrimitives.IndexOfMaxMagnitude(values);
        if (index >= 0 && !float.IsFinite(values[index]))
            throw new GlipFormatException($"{source.Name}: tensor {name} has {values[index]} at element {index}: weights must be finite");
    }

    private static string Describe(ReadOnlySpan<int> shape) => $"[{string.Join(", ", shape.ToArray())}]";
}

/// <summary>Factor and summand of a normalisation, [channels] each.</summary>
internal sealed record NormWeights(float[] Gamma, float[] Beta);
