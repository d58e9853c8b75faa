using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Glip.Managed;
using Glip.Managed.Text;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools.Verification;

/// <summary>What was recorded of one stage: every <paramref name="Step"/>th element, from the first.</summary>
/// <param name="Name">The stage, in the original's words: <c>fpn.P3</c>.</param>
/// <param name="Shape">Dimensions of the whole stage, real tokens only.</param>
/// <param name="Step">Elements from one sample to the next; 1 for all.</param>
/// <param name="Largest">Largest magnitude of the whole stage.</param>
/// <param name="Samples">The samples.</param>
internal sealed record RecordedStage(string Name, int[] Shape, int Step, float Largest, float[] Samples);

/// <summary>
/// The stages that a model should compute of one picture and prompt, recorded by the original or by another run. A few samples a stage are enough to tell
/// whether a model computes the same, and small enough to go along in its file.
/// </summary>
internal sealed class StageRecording
{
    /// <summary>Metadata key of the recording in a model file.</summary>
    public const string MetadataKey = "glip.golden";

    /// <summary>The picture in a model file, U8 [height, width, 3], BGR.</summary>
    public const string PictureTensor = "glip.golden.picture";

    /// <summary>All samples in a model file, F32, stage by stage.</summary>
    public const string SamplesTensor = "glip.golden.samples";

    private const string TracePicture = "pre.resized_u8";
    private const string TraceIds = "text.input_ids";
    private const string TraceMask = "text.attention_mask";
    private const int Channels = 3;
    private const int SamplesPerStage = 64;
    private const int LargestPicture = 4 << 20;

    /// <summary>Beside the network's own stages: selections are lists whose order may differ, and what the original computes but nobody uses is not computed here.</summary>
    private static readonly string[] s_notRecorded = ["pre.", "text.", "head.cls_logits.", "lang.aggregate", "lang.masks", "anchors.", "det.", "final.", "glip."];

    private StageRecording()
    {
    }

    /// <summary>The text.</summary>
    public required string Caption { get; init; }

    /// <summary>The text's tokens, without padding.</summary>
    public required int[] TokenIds { get; init; }

    /// <summary>Size of the picture.</summary>
    public required (int Height, int Width) Size { get; init; }

    /// <summary>The picture as the network got it, after resizing: [height, width, 3] in BGR order.</summary>
    public required byte[] Picture { get; init; }

    /// <summary>In the order of computation.</summary>
    public required IReadOnlyList<RecordedStage> Stages { get; init; }

    /// <summary>Reads a recording as <c>glip trace</c> writes it, or the original's.</summary>
    /// <param name="path">A safetensors file with a stage a tensor.</param>
    /// <param name="allElements">True to keep whole stages, false for a few samples of each.</param>
    /// <exception cref="GlipFormatException">It is no such file.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static StageRecording FromTrace(string path, bool allElements)
    {
        using TensorFile trace = TensorFile.Open(path);
        (int height, int width) = PictureSize(trace, TracePicture);
        long[] ids = Integers(trace, TraceIds), mask = Integers(trace, TraceMask);
        int tokens = mask.Count(m => m != 0);
        if (tokens == 0 || tokens > ids.Length)
            throw Bad(path, $"tensors '{TraceIds}' and '{TraceMask}' do not belong together");

        var stages = new List<RecordedStage>();
        foreach (string name in trace.Names.Where(name => !s_notRecorded.Any(n => name.StartsWith(n, StringComparison.Ordinal))))
        {
            trace.TryDescribe(name, out TensorType type, out int[] shape);
            if (type == TensorType.F32)
                stages.Add(Record(name, MemoryMarshal.Cast<byte, float>(trace.Read(name)), shape, tokens, allElements));
        }

        return stages.Count == 0
            ? throw Bad(path, "not a recording of stages: it has none of the network's")
            : new StageRecording
            {
                Caption = ReadCaption(trace),
                TokenIds = [.. ids.Take(tokens).Select(id => (int)id)],
                Size = (height, width),
                Picture = trace.Read(TracePicture),
                Stages = stages,
            };
    }

    /// <summary>Reads the recording that a model file has; null if it has none.</summary>
    /// <exception cref="GlipFormatException">The file's recording is damaged.</exception>
    public static StageRecording? FromModel(TensorFile model)
    {
        if (!model.Metadata.TryGetValue(MetadataKey, out string? json))
            return null;
        Index index;
        try
        {
            index = JsonSerializer.Deserialize(json, StageRecordingJson.Default.Index) ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new GlipFormatException($"{model.Path}: {MetadataKey}: {e.Message}", e);
        }

        (int height, int width) = PictureSize(model, PictureTensor);
        if (!model.TryDescribe(SamplesTensor, out TensorType type, out _) || type != TensorType.F32)
            throw Bad(model.Path, $"tensor '{SamplesTensor}' is missing or not F32");
        float[] samples = MemoryMarshal.Cast<byte, float>(model.Read(SamplesTensor)).ToArray();
        var stages = new List<RecordedStage>();
        int at = 0;
        foreach (IndexedStage stage in index.Stages)
        {
            if (stage.Step < 1 || stage.Samples < 1 || stage.Samples > samples.Length - at)
                throw Bad(model.Path, $"{MetadataKey}: stage {DisplayText.Quote(stage.Name)} does not fit the {samples.Length} samples");
            stages.Add(new RecordedStage(stage.Name, stage.Shape, stage.Step, stage.Largest, samples[at..(at + stage.Samples)]));
            at += stage.Samples;
        }

        return new StageRecording
        {
            Caption = index.Caption,
            TokenIds = index.TokenIds,
            Size = (height, width),
            Picture = model.Read(PictureTensor),
            Stages = stages,
        };
    }

    /// <summary>The recording for a model without text encoder.</summary>
    public StageRecording WithoutTextEncoder() => new()
    {
        Caption = Caption,
        TokenIds = TokenIds,
        Size = Size,
        Picture = Picture,
        Stages = [.. Stages.Where(s => !s.Name.StartsWith("bert.", StringComparison.Ordinal))],
    };

    /// <summary>The stages' names, shapes and steps as JSON, for the model file's metadata.</summary>
    public string ToJson() => JsonSerializer.Serialize(
        new Index(Caption, TokenIds, [.. Stages.Select(s => new IndexedStage(s.Name, s.Shape, s.Step, s.Largest, s.Samples.Length))]),
        StageRecordingJson.Default.Index);

    /// <summary>The tensors that go into the model file.</summary>
    public IEnumerable<(TensorDeclaration Declaration, byte[] Bytes)> ToTensors()
    {
        float[] samples = [.. Stages.SelectMany(s => s.Samples)];
        yield return (new(SamplesTensor, TensorType.F32, [samples.Length]), MemoryMarshal.AsBytes(samples.AsSpan()).ToArray());
        yield return (new(PictureTensor, TensorType.U8, [Size.Height, Size.Width, Channels]), Picture);
    }

    /// <summary>A stage without the rows and columns of padding tokens, which recordings of the original may have and this library does not compute.</summary>
    internal static RecordedStage Record(string name, ReadOnlySpan<float> values, ReadOnlySpan<int> shape, int tokens, bool allElements)
    {
        int[] real = shape.ToArray();
        if (real is [_, _, _])
        {
            bool columns = name.StartsWith("head.dot_product_logits.", StringComparison.Ordinal);
            bool rows = name.StartsWith("bert.", StringComparison.Ordinal) || name.StartsWith("lang.", StringComparison.Ordinal)
                || name.EndsWith(".hidden", StringComparison.Ordinal);
            (real[1], real[2]) = (rows ? Math.Min(real[1], tokens) : real[1], columns ? Math.Min(real[2], tokens) : real[2]);
            values = Cut(values, shape[2], real[1], real[2]);
        }

        // An odd step visits all channels of a layout with an even number of them.
        int step = allElements ? 1 : Math.Max(1, (values.Length + SamplesPerStage - 1) / SamplesPerStage) | 1;
        var samples = new float[(values.Length + step - 1) / step];
        for (int i = 0; i < samples.Length; i++)
            samples[i] = values[i * step];
        float largest = values.IsEmpty ? 0 : Math.Abs(TensorPrimitives.MaxMagnitude(values));
        return new RecordedStage(name, real, step, largest, samples);
    }

    private static float[] Cut(ReadOnlySpan<float> values, int width, int rows, int columns)
    {
        var cut = new float[rows * columns];
        for (int row = 0; row < rows; row++)
            values.Slice(row * width, columns).CopyTo(cut.AsSpan(row * columns));
        return cut;
    }

    private static (int Height, int Width) PictureSize(TensorFile file, string name)
    {
        if (!file.TryDescribe(name, out TensorType type, out int[] shape))
            throw Bad(file.Path, $"not a recording of stages: tensor '{name}' is missing");
        if (type != TensorType.U8 || shape is not [> 0, > 0, Channels] || (long)shape[0] * shape[1] * Channels > LargestPicture)
        {
            throw Bad(
                file.Path,
                $"tensor '{name}': expected U8 [height,width,3] of at most {LargestPicture} bytes, found {type.SafetensorsName()} {DisplayText.Shape(shape)}");
        }

        return (shape[0], shape[1]);
    }

    private static long[] Integers(TensorFile file, string name) =>
        file.TryDescribe(name, out TensorType type, out _) && type == TensorType.I64
            ? MemoryMarshal.Cast<byte, long>(file.Read(name)).ToArray()
            : throw Bad(file.Path, $"not a recording of stages: tensor '{name}' is missing or not I64");

    /// <summary><c>glip trace</c> writes the text itself; the original's recordings have it in a JSON object.</summary>
    private static string ReadCaption(TensorFile trace)
    {
        if (trace.Metadata.TryGetValue("prompt", out string? prompt))
            return prompt;
        try
        {
            if (trace.Metadata.TryGetValue("info", out string? info))
            {
                using JsonDocument document = JsonDocument.Parse(info);
                return document.RootElement.GetProperty("caption_string").GetString()!;
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new GlipFormatException($"{trace.Path}: metadata 'info': {e.Message}", e);
        }

        throw Bad(trace.Path, "its metadata says neither 'prompt' nor 'info', so the text is not known");
    }

    private static GlipFormatException Bad(string path, string what) => new($"{path}: {what}");

    internal sealed record Index(
        [property: JsonPropertyName("caption")] string Caption,
        [property: JsonPropertyName("token_ids")] int[] TokenIds,
        [property: JsonPropertyName("stages")] IndexedStage[] Stages);

    internal sealed record IndexedStage(
        [property: JsonPropertyName("name")] string Name,
        [property: JsonPropertyName("shape")] int[] Shape,
        [property: JsonPropertyName("step")] int Step,
        [property: JsonPropertyName("largest")] float Largest,
        [property: JsonPropertyName("samples")] int Samples);
}

[JsonSerializable(typeof(StageRecording.Index))]
[JsonSourceGenerationOptions(RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
internal sealed partial class StageRecordingJson : JsonSerializerContext;
