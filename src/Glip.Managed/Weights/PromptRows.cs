using System.Text.Json;
using System.Text.Json.Serialization;
using Glip.Managed.Text;

namespace Glip.Managed.Weights;

/// <summary>
/// A prompt and a row of numbers for each of its tokens: what prompt tuning adds to the text encoder's output, or that output itself, in models without the
/// encoder. Immutable.
/// </summary>
/// <param name="Caption">The text.</param>
/// <param name="Spans">For each label the characters <c>[begin, end)</c> of its phrase, in code points.</param>
/// <param name="TokenIds">The text's tokens, L, as a check that the model reads it in the same way.</param>
/// <param name="Width">C, the text encoder's.</param>
/// <param name="Values">[L, C].</param>
internal sealed record PromptRows(string Caption, int[][][] Spans, int[] TokenIds, int Width, float[] Values)
{
    /// <summary>The prompt without the rows.</summary>
    /// <exception cref="ArgumentException">The spans do not fit the caption.</exception>
    public Prompt ToPrompt() => Prompt.FromSpans(Caption, Spans.Select(label => (IReadOnlyList<(int, int)>)Array.ConvertAll(label, span => (span[0], span[1]))));

    /// <summary>Rows for an encoded prompt.</summary>
    public static PromptRows Of(EncodedPrompt encoded, int width, float[] values)
    {
        Prompt prompt = encoded.Prompt;
        int[][][] spans =
        [
            .. Enumerable.Range(1, prompt.Phrases.Count).Select(label => Array.ConvertAll(prompt.SpansOf(label).ToArray(), span => new[] { span.Begin, span.End })),
        ];
        return new PromptRows(prompt.Caption, spans, encoded.Ids.ToArray(), width, values);
    }

    /// <summary>All but the numbers, for the metadata of a file that has them as a tensor.</summary>
    public static string ToJson(IEnumerable<PromptRows> prompts) =>
        JsonSerializer.Serialize([.. prompts.Select(p => new PromptText(p.Caption, p.Spans, p.TokenIds))], PromptJson.Default.PromptTextArray);

    /// <summary>Reads prompts out of a file's metadata and their rows, one after the other, out of its tensor.</summary>
    /// <param name="file">The file.</param>
    /// <param name="key">Metadata key of the texts.</param>
    /// <param name="tensorName">Tensor of the rows, F32 [all tokens, C].</param>
    /// <exception cref="GlipFormatException">They are damaged or do not fit each other.</exception>
    public static IReadOnlyList<PromptRows> Read(SafetensorsFile file, string key, string tensorName)
    {
        PromptText[] texts = Parse(file, key);
        if (!file.TryGetTensor(tensorName, out WeightTensor tensor))
            throw Bad($"tensor '{tensorName}' is missing");
        if (tensor.Type != TensorType.F32 || tensor.Shape.Length != 2 || tensor.Shape[1] == 0)
            throw Bad($"tensor '{tensorName}': expected F32 with two dimensions, found {tensor.Type.SafetensorsName()} {DisplayText.Shape(tensor.Shape)}");
        int tokens = texts.Sum(t => t.TokenIds.Length), width = tensor.Shape[1];
        if (tensor.Shape[0] != tokens)
            throw Bad($"tensor '{tensorName}': expected a row for each of {tokens} tokens, found {DisplayText.Shape(tensor.Shape)}");
        float[] values = TensorConversion.ReadSingles(tensor);
        if (values.Any(v => !float.IsFinite(v)))
            throw Bad($"tensor '{tensorName}': rows must be finite numbers");

        var prompts = new List<PromptRows>();
        int at = 0;
        foreach (PromptText text in texts)
        {
            int count = text.TokenIds.Length * width;
            var prompt = new PromptRows(text.Caption, text.Spans, text.TokenIds, width, values[at..(at + count)]);
            at += count;
            Check(prompt);
            prompts.Add(prompt);
        }

        return prompts;

        void Check(PromptRows prompt)
        {
            if (prompt.TokenIds.Length == 0 || prompt.Spans.Any(label => label is null || label.Any(span => span is not [_, _])))
                throw Bad($"{key}: prompt {DisplayText.Quote(prompt.Caption)} has no tokens, or spans that are not [begin,end]");
            try
            {
                _ = prompt.ToPrompt();
            }
            catch (ArgumentException e)
            {
                throw new GlipFormatException($"{file.Name}: {key}: prompt {DisplayText.Quote(prompt.Caption)}: {e.Message}", e);
            }
        }

        GlipFormatException Bad(string what) => new($"{file.Name}: {what}");
    }

    private static PromptText[] Parse(SafetensorsFile file, string key)
    {
        try
        {
            return JsonSerializer.Deserialize(file.Metadata[key], PromptJson.Default.PromptTextArray) is { } texts && Array.TrueForAll(texts, t => t is not null)
                ? texts
                : throw new JsonException("expected an array of prompts");
        }
        catch (JsonException e)
        {
            throw new GlipFormatException($"{file.Name}: {key}: {e.Message}", e);
        }
    }
}

/// <summary>A prompt as stored.</summary>
internal sealed record PromptText(
    [property: JsonPropertyName("caption")] string Caption,
    [property: JsonPropertyName("spans")] int[][][] Spans,
    [property: JsonPropertyName("token_ids")] int[] TokenIds);

[JsonSerializable(typeof(PromptText[]))]
[JsonSourceGenerationOptions(RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
internal sealed partial class PromptJson : JsonSerializerContext;
