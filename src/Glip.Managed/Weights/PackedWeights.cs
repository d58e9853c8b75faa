using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>The blocks of a packed model file, used where they lie.</summary>
internal sealed class PackedWeights(SafetensorsFile file, PackedForm form)
{
    /// <summary>What follows a matrix's name in the name of its block.</summary>
    public const string Suffix = ".packed";

    /// <summary>What it was packed for.</summary>
    public PackedForm Form { get; } = form;

    /// <summary>How a block holds its numbers.</summary>
    /// <exception cref="GlipFormatException">The block is missing or holds something else.</exception>
    public PanelType TypeOf(string name) => Find(name).Type switch
    {
        TensorType.F32 => PanelType.Single,
        TensorType.F16 => PanelType.Half,
        TensorType.BF16 => PanelType.BFloat16,
        TensorType other => throw new GlipFormatException($"{file.Name}: tensor '{name}': expected F32, F16 or BF16, found {other.SafetensorsName()}"),
    };

    /// <summary>A block's memory.</summary>
    /// <exception cref="GlipFormatException">The block is missing or of another size.</exception>
    public FixedMemory Get(string name, PanelType type, long bytes)
    {
        SafetensorsEntry entry = Find(name);
        if (TypeOf(name) != type || entry.ByteCount != bytes)
        {
            throw new GlipFormatException(
                $"{file.Name}: tensor '{name}': expected {bytes} bytes of {TensorTypes.Of(type).SafetensorsName()}, found {entry.ByteCount} of {entry.Type.SafetensorsName()}");
        }

        return file.Fixed(entry);
    }

    private SafetensorsEntry Find(string name) =>
        file.Find(name) ?? throw new GlipFormatException($"{file.Name}: tensor '{name}' is missing: this packed file is incomplete, pack the model again");
}
