using System.Buffers;
using System.Text;
using System.Text.Json;
using Glip.Kernels;

namespace Glip.Managed.Weights;

/// <summary>What a packed model file says of its panels.</summary>
/// <param name="Isa">Name of the instruction set that it was packed for.</param>
/// <param name="Layout">How its matrices are cut; all that decides whether they can be used.</param>
/// <param name="Source">SHA-256 of all tensors that it was made from, as <c>glip-weights inspect</c> shows it.</param>
internal sealed record PackedForm(string Isa, PanelLayout Layout, string Source)
{
    /// <summary>Metadata key.</summary>
    public const string Key = "glip.packed";

    /// <summary>The value of <see cref="Key"/>.</summary>
    public string ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("isa", Isa);
            json.WriteNumber("width", Layout.Width);
            json.WriteNumber("granule", Layout.Granule);
            json.WriteString("source", Source);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Reads a value of <see cref="Key"/>.</summary>
    /// <exception cref="GlipFormatException">It is not one.</exception>
    public static PackedForm Parse(string text, string file)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(text);
            JsonElement root = json.RootElement;
            var layout = new PanelLayout(root.GetProperty("width").GetInt32(), root.GetProperty("granule").GetInt32());
            if (layout.Granule < 1 || layout.Width < layout.Granule || layout.Width % layout.Granule != 0)
                throw new GlipFormatException($"{file}: {Key}: width must be a multiple of granule, found {layout.Width} and {layout.Granule}");
            return new PackedForm(root.GetProperty("isa").GetString()!, layout, root.GetProperty("source").GetString()!);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new GlipFormatException($"{file}: {Key}: expected a JSON object with isa, width, granule and source, found {DisplayText.Quote(text)}", e);
        }
    }
}
