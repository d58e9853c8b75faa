using System.Runtime.InteropServices;
using Glip.Managed.Text;

namespace Glip.Managed.Weights;

/// <summary>A file with a tuned prompt: a text, its phrases, and what tuning adds to the text encoder's output for each token. A few hundred kilobytes.</summary>
public static class PromptFile
{
    private const string FormatKey = "glip.prompt.format";
    private const string FormatVersion = "1";
    private const string TextKey = "glip.prompt";
    private const string RowsTensor = "rows";

    /// <summary>Reads a prompt file, made by <c>glip-weights convert --prompt-out</c>.</summary>
    /// <param name="path">The file.</param>
    /// <returns>A prompt to be used like any other, with the model that it was tuned for.</returns>
    /// <exception cref="GlipFormatException">It is no prompt file, or damaged.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static Prompt Read(string path)
    {
        PromptRows rows = ReadRows(path);
        return rows.ToPrompt().TunedBy(rows);
    }

    /// <summary>Whether a safetensors file says that it is one of these.</summary>
    internal static bool IsOne(IReadOnlyDictionary<string, string> metadata) => metadata.ContainsKey(FormatKey);

    internal static PromptRows ReadRows(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        if (!file.Metadata.TryGetValue(FormatKey, out string? version) || !file.Metadata.ContainsKey(TextKey))
            throw new GlipFormatException($"{path}: not a prompt file: the safetensors metadata lacks {(version is null ? FormatKey : TextKey)}");
        if (version != FormatVersion)
            throw new GlipFormatException($"{path}: {FormatKey} must be {FormatVersion}, found {DisplayText.Quote(version)}");
        return PromptRows.Read(file, TextKey, RowsTensor) is [var prompt]
            ? prompt
            : throw new GlipFormatException($"{path}: {TextKey}: expected one prompt");
    }

    internal static void Write(string path, PromptRows prompt)
    {
        KeyValuePair<string, string>[] metadata = [new(FormatKey, FormatVersion), new(TextKey, PromptRows.ToJson([prompt]))];
        using var writer = new SafetensorsWriter(path, [new(RowsTensor, TensorType.F32, [prompt.TokenIds.Length, prompt.Width])], metadata);
        writer.Write(RowsTensor, MemoryMarshal.AsBytes(prompt.Values.AsSpan()));
        writer.Commit();
    }
}
