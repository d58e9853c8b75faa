using System.Globalization;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools;

/// <summary>What packing did.</summary>
/// <param name="Form">What the file was packed for.</param>
/// <param name="Blocks">Packed matrices, biases and tables.</param>
/// <param name="Bytes">Bytes of the blocks.</param>
internal sealed record PackReport(PackedForm Form, int Blocks, long Bytes);

/// <summary>Writes a model file in the form that one instruction set's kernels read, so that loading it is mapping it. Needs the memory of a loaded model.</summary>
internal static class ModelPacker
{
    /// <summary>Packs.</summary>
    /// <param name="source">Path of a model file that is not packed.</param>
    /// <param name="isa">For which instruction set; this machine need not have it.</param>
    /// <param name="target">Path of the packed model file; written beside and then moved.</param>
    /// <param name="cancellation">Stops between two blocks.</param>
    /// <exception cref="GlipFormatException">The source is no model file, or is packed already.</exception>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public static PackReport Pack(string source, SimdIsa isa, string target, CancellationToken cancellation = default)
    {
        using ModelFile model = ModelFile.Open(source);
        using TensorFile tensors = TensorFile.Open(source);
        RefusePacked(tensors);
        using var pool = new WorkerPool(Environment.ProcessorCount);
        using var kernels = new KernelContext(SimdIsas.Best, pool);
        using var store = new WeightStore(model, isa);
        _ = new GlipModel(model, kernels, store);

        // Blocks are whole cache lines and come first, so that each begins at one; larger numbers before smaller ones keep the rest aligned.
        List<TensorDeclaration> blocks = [.. store.Blocks.Select(b => new TensorDeclaration(b.Name, TensorTypes.Of(b.Type), [(int)(b.Memory.Length / b.Type.ElementBytes())]))];
        List<TensorDeclaration> others =
        [
            .. tensors.Names.Where(name => store.Values.Contains(name) || ModelFile.IsOwnTensor(name)).Select(Describe).OrderByDescending(t => t.Type.ByteSize()),
        ];
        var form = new PackedForm(isa.Name(), store.Layout, Hash(tensors));
        using var writer = new SafetensorsWriter(
            target, [.. blocks, .. others], [.. tensors.Metadata.Where(pair => pair.Key != PackedForm.Key), new(PackedForm.Key, form.ToJson())]);
        foreach (WeightBlock block in store.Blocks)
        {
            cancellation.ThrowIfCancellationRequested();
            writer.Write(block.Name, block.Memory.Span<byte>());
        }

        foreach (TensorDeclaration other in others)
            writer.Write(other.Name, tensors.Read(other.Name));
        writer.Commit();
        return new PackReport(form, blocks.Count, store.Bytes.Private);

        TensorDeclaration Describe(string name)
        {
            tensors.TryDescribe(name, out TensorType type, out int[] shape);
            return new TensorDeclaration(name, type, shape);
        }
    }

    /// <summary>Packed files hold no weights in a form that could become anything else.</summary>
    /// <exception cref="GlipFormatException">It is one.</exception>
    public static void RefusePacked(TensorFile file)
    {
        if (file.Metadata.TryGetValue(PackedForm.Key, out string? packed))
        {
            string isa = PackedForm.Parse(packed, file.Path).Isa;
            throw new GlipFormatException(string.Create(CultureInfo.InvariantCulture, $"{file.Path}: is packed for {isa}: start from the model file that it was packed from"));
        }
    }

    private static string Hash(TensorFile tensors)
    {
        var hashes = new TensorHashes();
        foreach (string name in tensors.Names)
            hashes.Add(tensors, name);
        return hashes.OfAll();
    }
}
