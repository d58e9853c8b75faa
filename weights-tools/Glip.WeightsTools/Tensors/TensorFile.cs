using Glip.Managed;
using Glip.Managed.Weights;
using Glip.WeightsTools.Torch;

namespace Glip.WeightsTools.Tensors;

/// <summary>How to read a file of tensors.</summary>
internal sealed record TensorFileOptions
{
    /// <summary>Take the moving average of the weights that some trainers store beside them.</summary>
    public bool UseEma { get; init; }

    /// <summary>Read storages whose checksum is wrong: PyTorch can be told to write none.</summary>
    public bool IgnoreChecksums { get; init; }
}

/// <summary>A file of named tensors: a PyTorch checkpoint or a safetensors file. Tensors are streamed. Not thread-safe.</summary>
internal abstract class TensorFile : IDisposable
{
    /// <summary>The file's full path, for messages.</summary>
    public abstract string Path { get; }

    /// <summary>What kind of file it is, for people.</summary>
    public abstract string Kind { get; }

    /// <summary>Names of all tensors without a <c>module.</c> prefix, in the file's order.</summary>
    public abstract IReadOnlyCollection<string> Names { get; }

    /// <summary>Parts of the file beside the tensors, which are not read: optimiser, scheduler.</summary>
    public virtual IReadOnlyList<string> SkippedSections => [];

    /// <summary>Free text pairs of the file.</summary>
    public virtual IReadOnlyDictionary<string, string> Metadata => new Dictionary<string, string>();

    /// <summary>Opens either kind of file, by its first bytes.</summary>
    /// <exception cref="GlipFormatException">It is neither, is damaged, or refers to names that are not allowed.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not read it.</exception>
    public static TensorFile Open(string path, TensorFileOptions? options = null)
    {
        options ??= new TensorFileOptions();
        var bytes = new FileBytes(path);
        try
        {
            Span<byte> start = stackalloc byte[9];
            start = start[..(int)Math.Min(start.Length, bytes.Length)];
            bytes.Read(0, start);
            if (TorchArchive.IsLikely(start))
                return new TorchCheckpoint(bytes, options);
            if (start is not [.., (byte)'{'] || start.Length < 9)
            {
                throw new GlipFormatException(
                    $"{bytes.Path}: neither a PyTorch checkpoint nor a safetensors file: expected a zip archive, a pickle or a safetensors header");
            }

            return options.UseEma
                ? throw new GlipFormatException($"{bytes.Path}: a safetensors file has one set of weights, no moving average beside it")
                : new SafetensorsTensors(bytes);
        }
        catch
        {
            bytes.Dispose();
            throw;
        }
    }

    /// <summary>Finds a tensor's element type and shape.</summary>
    public abstract bool TryDescribe(string name, out TensorType type, out int[] shape);

    /// <summary>Opens a tensor's elements, row-major and little-endian, in the type that the file has.</summary>
    /// <exception cref="GlipFormatException">Its bytes are missing, damaged, of another number, or it reaches beyond them.</exception>
    public abstract Stream OpenTensor(string name);

    /// <summary>A tensor's elements in a new array.</summary>
    /// <exception cref="GlipFormatException">As for <see cref="OpenTensor"/>.</exception>
    public byte[] Read(string name)
    {
        if (!TryDescribe(name, out TensorType type, out int[] shape))
            throw new GlipFormatException($"{Path}: tensor {DisplayText.Quote(name)} is missing");
        using Stream stream = OpenTensor(name); // first, because it checks the size
        var bytes = new byte[type.ByteCount(shape)];
        stream.ReadExactly(bytes);
        return bytes;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the file.</summary>
    protected abstract void Dispose(bool disposing);

    /// <summary>Names without the prefix <c>module.</c> that data-parallel training puts before them, however often.</summary>
    protected static string PlainName(string name)
    {
        const string Prefix = "module.";
        while (name.StartsWith(Prefix, StringComparison.Ordinal))
            name = name[Prefix.Length..];
        return name;
    }
}
