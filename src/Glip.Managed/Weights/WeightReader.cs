using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>
/// Takes a model's tensors out of a <see cref="WeightSource"/>, strictly: each has exactly the expected shape and finite values. Matrices come packed, by packing
/// them or, from a packed model file, as they lie there.
/// </summary>
/// <remarks>Layers spell names as the checkpoint does, relative to their prefix: <c>reader.Under("layers.0.").Linear("attn.proj", 96, 96)</c>.</remarks>
internal sealed class WeightReader(WeightSource source, KernelContext kernels, WeightStore store, string prefix = "")
{
    private const string BiasSuffix = ".bias";

    /// <summary>A reader with memory of its own, freed with the last matrix that is in it.</summary>
    public WeightReader(WeightSource source, KernelContext kernels, string prefix = "")
        : this(source, kernels, new WeightStore(source, kernels.Isa), prefix)
    {
    }

    /// <summary>Packs matrices.</summary>
    public KernelContext Kernels { get; } = kernels;

    /// <summary>A reader whose names start with one more piece.</summary>
    public WeightReader Under(string piece) => new(source, Kernels, store, prefix + piece);

    /// <summary>A small tensor's values in a new array.</summary>
    /// <exception cref="GlipFormatException">Missing, of another shape, or not finite.</exception>
    public float[] Values(string name, params ReadOnlySpan<int> shape)
    {
        float[] values = Singles(name, shape);
        store.Note(prefix + name, values.Length);
        return values;
    }

    /// <summary>A single number stored as [1].</summary>
    public float Scalar(string name) => Values(name, 1)[0];

    /// <summary>A norm's <c>weight</c> and <c>bias</c>.</summary>
    public NormWeights Norm(string name, int channels) => new(Values(name + ".weight", channels), Values(name + ".bias", channels));

    /// <summary>A linear layer's <c>weight</c> [outputs, inputs] and <c>bias</c> [outputs], packed.</summary>
    public PackedMatrix Linear(string name, int outputs, int inputs) =>
        Matrix(name, outputs, inputs, () => Loose(name + ".weight", outputs, inputs), () => Singles(name + ".bias", outputs));

    /// <summary>A linear layer without bias.</summary>
    public PackedMatrix LinearWithoutBias(string name, int outputs, int inputs) => Matrix(name, outputs, inputs, () => Loose(name + ".weight", outputs, inputs));

    /// <summary>A convolution's <c>weight</c> [outputs, inputs, side, side] and <c>bias</c>, packed for channels-last windows.</summary>
    public PackedMatrix Convolution(string name, int outputs, int inputs, int side) =>
        Matrix(
            name, outputs, inputs * side * side, () => Loose(name + ".weight", outputs, inputs, side, side).ToChannelsLast(side * side),
            () => Singles(name + ".bias", outputs));

    /// <summary>A 3×3 convolution's <c>weight</c> [outputs, inputs, 3, 3] and <c>bias</c>, for stride 1.</summary>
    /// <param name="name">Of the layer.</param>
    /// <param name="outputs">Output channels.</param>
    /// <param name="inputs">Input channels.</param>
    /// <param name="transformed">True for single precision whatever the source has: half-size weights take less memory, but are transformed at every call.</param>
    public WinogradFilter Winograd(string name, int outputs, int inputs, bool transformed = false)
    {
        string block = prefix + name + PackedWeights.Suffix, weight = name + ".weight";
        LooseMatrix? loose = store.IsPacked ? null
            : transformed ? LooseMatrix.Of(Singles(weight, outputs, inputs, 3, 3), inputs * 9) : Loose(weight, outputs, inputs, 3, 3);
        PanelType type = transformed ? PanelType.Single : loose?.Type ?? store.PackedType(block);
        var shape = new PackedShape(outputs, inputs, store.Layout, type);
        FixedMemory matrices = store.Block(block, type, WinogradFilter.MatrixBytes(shape));
        var filter = new WinogradFilter(shape, matrices, store.Block(block + BiasSuffix, PanelType.Single, shape.BiasBytes));
        loose?.PackInto(filter, Kernels, Singles(name + ".bias", outputs));
        return filter;
    }

    /// <summary>A table [rows, width] whose rows are looked up. It can be the model's largest tensor, so it goes straight to its place.</summary>
    public WeightTable Table(string name, int rows, int width)
    {
        string block = prefix + name + PackedWeights.Suffix;
        if (store.IsPacked)
        {
            PanelType packed = store.PackedType(block);
            return new WeightTable(packed, width, store.Block(block, packed, TableBytes(packed)));
        }

        using TensorLease lease = Find(name, [rows, width]);
        PanelType type = KeptType(lease.Tensor);
        FixedMemory memory = store.Block(block, type, TableBytes(type));
        if (type == PanelType.Single)
        {
            Span<float> values = memory.Span<float>()[..(rows * width)];
            TensorConversion.ReadSingles(lease.Tensor, values);
            CheckFinite(lease.Tensor.Name, values);
        }
        else
        {
            CheckFinite(lease.Tensor);
            lease.Tensor.Bytes.CopyTo(memory.Span<byte>());
        }

        return new WeightTable(type, width, memory);

        long TableBytes(PanelType type) => FixedMemory.WholeLines((long)rows * width * type.ElementBytes());
    }

    /// <summary>A packed matrix of any origin.</summary>
    /// <param name="name">Its name in a packed file, unique in the model.</param>
    /// <param name="columns">N.</param>
    /// <param name="depth">K.</param>
    /// <param name="weight">Reads and arranges [N, K], or [K, N] if <paramref name="byColumns"/>. Not called if the source has the result.</param>
    /// <param name="bias">Reads [N]; null for none.</param>
    /// <param name="byColumns">See <paramref name="weight"/>.</param>
    public PackedMatrix Matrix(string name, int columns, int depth, Func<LooseMatrix> weight, Func<float[]>? bias = null, bool byColumns = false)
    {
        string block = prefix + name + PackedWeights.Suffix;
        LooseMatrix? loose = store.IsPacked ? null : weight();
        var shape = new PackedShape(columns, depth, store.Layout, loose?.Type ?? store.PackedType(block));
        FixedMemory panels = store.Block(block, shape.Type, shape.PanelBytes);
        var matrix = new PackedMatrix(shape, panels, store.Block(block + BiasSuffix, PanelType.Single, shape.BiasBytes));
        loose?.PackInto(matrix, Kernels, bias is null ? [] : bias(), byColumns);
        return matrix;
    }

    /// <summary>A tensor's elements as rows of its last dimensions, half-size if the source has them so and they are to stay so.</summary>
    /// <exception cref="GlipFormatException">Missing, of another shape, or not finite.</exception>
    public LooseMatrix Loose(string name, params ReadOnlySpan<int> shape)
    {
        using TensorLease lease = Find(name, shape);
        WeightTensor tensor = lease.Tensor;
        int columns = tensor.Bytes.Length / tensor.Type.ByteSize() / shape[0];
        PanelType type = KeptType(tensor);
        if (type == PanelType.Single)
            return LooseMatrix.Of(Singles(tensor), columns);
        CheckFinite(tensor);
        return LooseMatrix.Of(type, MemoryMarshal.Cast<byte, ushort>(tensor.Bytes).ToArray(), columns);
    }

    /// <summary>A tensor's elements in single precision, to be packed or worked into a matrix.</summary>
    /// <exception cref="GlipFormatException">Missing, of another shape, or not finite.</exception>
    public float[] Singles(string name, params ReadOnlySpan<int> shape)
    {
        using TensorLease lease = Find(name, shape);
        return Singles(lease.Tensor);
    }

    private float[] Singles(WeightTensor tensor)
    {
        float[] values = TensorConversion.ReadSingles(tensor);
        CheckFinite(tensor.Name, values);
        return values;
    }

    /// <summary>How a tensor's numbers are kept.</summary>
    private PanelType KeptType(WeightTensor tensor) => tensor.Type switch
    {
        TensorType.F16 when !store.WidensHalves => PanelType.Half,
        TensorType.BF16 when !store.WidensHalves => PanelType.BFloat16,
        _ => PanelType.Single,
    };

    private TensorLease Find(string name, ReadOnlySpan<int> shape)
    {
        if (!source.TryLend(prefix + name, out TensorLease lease))
            throw new GlipFormatException($"{source.Name}: tensor {prefix}{name} is missing (expected {Describe(shape)})");
        if (lease.Tensor.Shape.SequenceEqual(shape))
            return lease;
        string found = Describe(lease.Tensor.Shape);
        lease.Dispose();
        throw new GlipFormatException($"{source.Name}: tensor {prefix}{name} has shape {found}, expected {Describe(shape)}");
    }

    private void CheckFinite(WeightTensor halves)
    {
        // All ones in the exponent stand for infinity and NaN.
        int exponent = halves.Type == TensorType.F16 ? 0x7C00 : 0x7F80;
        foreach (ushort bits in MemoryMarshal.Cast<byte, ushort>(halves.Bytes))
        {
            if ((bits & exponent) == exponent)
                CheckFinite(halves.Name, TensorConversion.ReadSingles(halves));
        }
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
