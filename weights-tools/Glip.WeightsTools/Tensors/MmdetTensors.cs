using Glip.Managed;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Tensors;

/// <summary>
/// A GLIP checkpoint with mmdetection's names and its order of patch merging, seen under the original's names and in the original's order.
/// </summary>
internal sealed class MmdetTensors : TensorFile
{
    private const int Cells = 4; // of a 2x2 patch

    /// <summary>Pieces of mmdetection's names and what stands there in the original's; tried from the top, the first that fits counts.</summary>
    private static readonly (string Theirs, string Ours)[] s_prefixes =
    [
        ("backbone.stages.", "backbone.body.layers."),
        ("backbone.patch_embed.projection.", "backbone.body.patch_embed.proj."),
        ("backbone.", "backbone.body."),
        ("neck.lateral_convs.0.conv.", "backbone.fpn.fpn_inner2."),
        ("neck.lateral_convs.1.conv.", "backbone.fpn.fpn_inner3."),
        ("neck.lateral_convs.2.conv.", "backbone.fpn.fpn_inner4."),
        ("neck.fpn_convs.0.conv.", "backbone.fpn.fpn_layer2."),
        ("neck.fpn_convs.1.conv.", "backbone.fpn.fpn_layer3."),
        ("neck.fpn_convs.2.conv.", "backbone.fpn.fpn_layer4."),
        ("neck.fpn_convs.3.conv.", "backbone.fpn.top_blocks.p6."),
        ("neck.fpn_convs.4.conv.", "backbone.fpn.top_blocks.p7."),
        ("language_model.language_backbone.", "language_backbone."),
        ("bbox_head.", "rpn."),
    ];

    private static readonly (string Theirs, string Ours)[] s_inBlocks =
    [
        (".attn.w_msa.", ".attn."), (".ffn.layers.0.0.", ".mlp.fc1."), (".ffn.layers.1.", ".mlp.fc2."),
    ];

    private readonly TensorFile _file;
    private readonly Dictionary<string, string> _theirs = new(StringComparer.Ordinal);

    private MmdetTensors(TensorFile file)
    {
        _file = file;
        foreach (string name in file.Names)
        {
            if (!_theirs.TryAdd(OriginalName(name), name))
                throw new GlipFormatException($"{Path}: tensors {DisplayText.Quote(name)} and {DisplayText.Quote(_theirs[OriginalName(name)])} are the same parameter");
        }
    }

    /// <inheritdoc/>
    public override string Path => _file.Path;

    /// <inheritdoc/>
    public override string Kind => $"{_file.Kind} with mmdetection's names";

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _theirs.Keys;

    /// <inheritdoc/>
    public override IReadOnlyList<string> SkippedSections => _file.SkippedSections;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Metadata => _file.Metadata;

    /// <summary>The file itself, or a view of it if it has mmdetection's names.</summary>
    public static TensorFile OrOriginal(TensorFile file) =>
        file.Names.Any(name => name.StartsWith("bbox_head.", StringComparison.Ordinal)) ? new MmdetTensors(file) : file;

    /// <summary>The original's name of what mmdetection calls <paramref name="name"/>; the same if it is not one of mmdetection's.</summary>
    internal static string OriginalName(string name)
    {
        (string theirs, string ours) = Array.Find(s_prefixes, p => name.StartsWith(p.Theirs, StringComparison.Ordinal));
        if (theirs is null)
            return name;
        name = ours + name[theirs.Length..];
        if (!name.StartsWith("backbone.body.layers.", StringComparison.Ordinal))
            return name;
        foreach ((string theirPart, string ourPart) in s_inBlocks)
            name = name.Replace(theirPart, ourPart, StringComparison.Ordinal);
        return name;
    }

    /// <inheritdoc/>
    public override bool TryDescribe(string name, out TensorType type, out int[] shape)
    {
        if (_theirs.TryGetValue(name, out string? theirs))
            return _file.TryDescribe(theirs, out type, out shape);
        (type, shape) = (default, []);
        return false;
    }

    /// <inheritdoc/>
    public override Stream OpenTensor(string name)
    {
        string theirs = _theirs[name];
        bool merges = name.StartsWith("backbone.body.layers.", StringComparison.Ordinal) && name.Contains(".downsample.", StringComparison.Ordinal);
        if (!merges || !_file.TryDescribe(theirs, out TensorType type, out int[] shape) || shape.Length == 0 || shape[^1] % Cells != 0)
            return _file.OpenTensor(theirs);
        return new MemoryStream(InOriginalOrder(_file.Read(theirs), shape[^1], type.ByteSize()));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();

    /// <summary>
    /// The original puts the four cells' channels one after the other, cells down the columns; mmdetection unfolds: for each channel its four cells, along
    /// the rows. Columns of the reduction and elements of the norm are permuted accordingly.
    /// </summary>
    private static byte[] InOriginalOrder(byte[] theirs, int columns, int size)
    {
        ReadOnlySpan<int> unfolded = [0, 2, 1, 3]; // where the original's cell k stands in an unfolded channel
        var ours = new byte[theirs.Length];
        int channels = columns / Cells;
        for (int row = 0; row < theirs.Length; row += columns * size)
        {
            for (int cell = 0; cell < Cells; cell++)
            {
                for (int c = 0; c < channels; c++)
                {
                    int from = row + ((c * Cells) + unfolded[cell]) * size;
                    theirs.AsSpan(from, size).CopyTo(ours.AsSpan(row + ((cell * channels) + c) * size));
                }
            }
        }

        return ours;
    }
}
