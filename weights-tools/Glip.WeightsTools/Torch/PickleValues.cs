using Glip.Managed;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Torch;

// What unpickling yields besides null, bool, long, double, string and byte[]. Plain records of what the file says: no value
// here can do anything.

/// <summary>A Python tuple.</summary>
internal sealed record PickleTuple(object?[] Items);

/// <summary>A Python list.</summary>
internal sealed record PickleList(List<object?> Items);

/// <summary>A Python dict, as the pairs that were put into it, in order; a later pair replaces an earlier one of the same key.</summary>
internal sealed record PickleDict(List<KeyValuePair<object?, object?>> Pairs)
{
    public PickleDict() : this([])
    {
    }

    /// <summary>The last value under the text key <paramref name="key"/>.</summary>
    public bool TryGet(string key, out object? value)
    {
        int at = Pairs.FindLastIndex(p => p.Key is string text && text == key);
        value = at < 0 ? null : Pairs[at].Value;
        return at >= 0;
    }
}

/// <summary>An object that is allowed in a checkpoint but that no weight depends on: a device, a set, a numpy number.</summary>
internal sealed record PickleOpaque(string Kind);

/// <summary>A name that a pickle may refer to.</summary>
/// <param name="Name">Module and name, <c>collections.OrderedDict</c>.</param>
/// <param name="Call">What calling it with arguments yields; null if it cannot be called.</param>
internal record PickleGlobal(string Name, Func<object?[], object?>? Call = null);

/// <summary>The name of a storage class, which says the element type.</summary>
internal sealed record TorchStorageType(string Name, TensorType Element) : PickleGlobal(Name);

/// <summary>A run of elements in the archive, which any number of tensors may look into.</summary>
/// <param name="Key">Name of the entry under <c>data/</c>.</param>
/// <param name="Type">Element type.</param>
/// <param name="Elements">Elements it should hold.</param>
/// <param name="First">Element at which offsets begin: files before PyTorch 1.6 know storages within storages.</param>
internal sealed record TorchStorage(string Key, TensorType Type, long Elements, long First = 0);

/// <summary>A tensor as a view of a storage. Sizes are as the file says; <see cref="TorchCheckpoint"/> checks them against the storage.</summary>
/// <param name="Storage">Where the elements lie.</param>
/// <param name="Offset">First element.</param>
/// <param name="Shape">Dimensions, outermost first.</param>
/// <param name="Strides">Elements from one index to the next, for each dimension.</param>
internal sealed record TorchTensor(TorchStorage Storage, long Offset, int[] Shape, long[] Strides);

/// <summary>The names that a checkpoint may refer to, and what they stand for here. Any other name is refused.</summary>
internal static class TorchGlobals
{
    private const string RebuildTensorName = "torch._utils._rebuild_tensor_v2";

    /// <summary>PyTorch's own limit on dimensions.</summary>
    private const int MaxRank = 64;

    private static readonly Dictionary<string, PickleGlobal> Allowed = All().ToDictionary(g => g.Name, StringComparer.Ordinal);

    /// <summary>Looks a name up.</summary>
    /// <exception cref="GlipFormatException">It is not on the list.</exception>
    public static PickleGlobal Find(string module, string name)
    {
        string full = $"{module}.{name}";
        return Allowed.TryGetValue(full, out PickleGlobal? global)
            ? global
            : throw new GlipFormatException(
                $"the file refers to {DisplayText.Quote(full)}, which a checkpoint has no need of; it was not run. Save only the state dict and convert that");
    }

    /// <summary>Resolves the reference that torch writes instead of a storage: ('storage', type, key, location, elements[, view]).</summary>
    /// <exception cref="GlipFormatException">It is anything else.</exception>
    public static TorchStorage Storage(object? reference)
    {
        if (reference is not PickleTuple { Items: ["storage", TorchStorageType type, string key, string, long elements, .. var more] } || elements < 0)
            throw new GlipFormatException("expected a storage reference ('storage', type, key, location, elements)");
        return more switch
        {
            [] or [null] => new TorchStorage(key, type.Element, elements),
            [PickleTuple { Items: [string, long first, long count] }] when first >= 0 && count >= 0 && first <= elements - count =>
                new TorchStorage(key, type.Element, elements, first),
            _ => throw new GlipFormatException($"storage {DisplayText.Quote(key)} is a view that does not fit its {elements} elements"),
        };
    }

    private static IEnumerable<PickleGlobal> All()
    {
        yield return new("collections.OrderedDict", OrderedDict);
        yield return new("collections.defaultdict", _ => new PickleDict());
        yield return new(RebuildTensorName, RebuildTensor);
        yield return new("torch._utils._rebuild_tensor", RebuildTensor);
        yield return new("torch._utils._rebuild_parameter", RebuildParameter);
        yield return new("torch._utils._rebuild_parameter_with_state", RebuildParameter);
        yield return new("torch._tensor._rebuild_from_type_v2", RebuildFromType);
        yield return new("torch.nn.parameter.Parameter", RebuildParameter);
        yield return new("torch.Tensor");
        yield return new("torch.Size", args => args is [PickleTuple size] ? size : throw BadCall("torch.Size"));

        // State of optimisers and schedulers, which is read over.
        string[] opaque =
        [
            "torch.device", "torch.serialization._get_layout", "_codecs.encode", "collections.Counter",
            "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
            "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
            "builtins.set", "builtins.frozenset", "__builtin__.set", "__builtin__.frozenset",
        ];
        foreach (string name in opaque)
            yield return new(name, _ => new PickleOpaque(name));
        foreach (string type in (string[])["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"])
            yield return new($"torch.{type}");
        foreach (string type in (string[])["numpy.ndarray", "builtins.dict", "builtins.list", "builtins.int", "builtins.float", "__builtin__.dict", "__builtin__.list"])
            yield return new(type);

        yield return new TorchStorageType("torch.FloatStorage", TensorType.F32);
        yield return new TorchStorageType("torch.HalfStorage", TensorType.F16);
        yield return new TorchStorageType("torch.BFloat16Storage", TensorType.BF16);
        yield return new TorchStorageType("torch.DoubleStorage", TensorType.F64);
        yield return new TorchStorageType("torch.LongStorage", TensorType.I64);
        yield return new TorchStorageType("torch.IntStorage", TensorType.I32);
        yield return new TorchStorageType("torch.ShortStorage", TensorType.I16);
        yield return new TorchStorageType("torch.CharStorage", TensorType.I8);
        yield return new TorchStorageType("torch.ByteStorage", TensorType.U8);
        yield return new TorchStorageType("torch.BoolStorage", TensorType.Bool);
        yield return new TorchStorageType("torch.UntypedStorage", TensorType.U8);
        yield return new TorchStorageType("torch.storage.UntypedStorage", TensorType.U8);
    }

    private static PickleDict OrderedDict(object?[] args)
    {
        var dict = new PickleDict();
        if (args is [])
            return dict;
        if (args is not [PickleList pairs])
            throw BadCall("collections.OrderedDict");
        foreach (object? pair in pairs.Items)
        {
            (object? key, object? value) = pair switch
            {
                PickleTuple { Items: [var k, var v] } => (k, v),
                PickleList { Items: [var k, var v] } => (k, v),
                _ => throw BadCall("collections.OrderedDict"),
            };
            dict.Pairs.Add(new(key, value));
        }

        return dict;
    }

    /// <summary>(storage, offset, size, stride[, requires_grad, backward_hooks[, metadata]])</summary>
    private static TorchTensor RebuildTensor(object?[] args)
    {
        if (args is not [TorchStorage storage, long offset, PickleTuple { Items: var size }, PickleTuple { Items: var stride }, ..])
            throw BadCall(RebuildTensorName);
        if (size.Length > MaxRank || stride.Length > MaxRank)
            throw new GlipFormatException($"a tensor of {Math.Max(size.Length, stride.Length)} dimensions, expected at most {MaxRank}");
        var shape = new int[size.Length];
        var strides = new long[stride.Length];
        for (int i = 0; i < shape.Length; i++)
            shape[i] = size[i] is long d and >= 0 and <= int.MaxValue ? (int)d : throw BadCall(RebuildTensorName);
        for (int i = 0; i < strides.Length; i++)
            strides[i] = stride[i] is long s ? s : throw BadCall(RebuildTensorName);

        // Only an offset of a file that lies can overflow; the result is then negative or large, and refused like any other beyond the storage.
        return new TorchTensor(storage, unchecked(storage.First + offset), shape, strides);
    }

    /// <summary>(data, requires_grad, backward_hooks[, state])</summary>
    private static TorchTensor RebuildParameter(object?[] args) =>
        args is [TorchTensor tensor, ..] ? tensor : throw BadCall("torch._utils._rebuild_parameter");

    /// <summary>(function, type, arguments, state): a tensor to which attributes were added.</summary>
    private static TorchTensor RebuildFromType(object?[] args) =>
        args is [PickleGlobal { Name: RebuildTensorName }, PickleGlobal, PickleTuple { Items: var tensor }, ..]
            ? RebuildTensor(tensor)
            : throw BadCall("torch._tensor._rebuild_from_type_v2");

    private static GlipFormatException BadCall(string name) => new($"'{name}' has arguments that torch does not write");
}
