using System.Text.Json;

namespace Glip.Managed.Weights;

/// <summary>A tensor that a safetensors header declares.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Type">Element type.</param>
/// <param name="Shape">Dimensions, outermost first.</param>
/// <param name="Offset">First byte, counted from the start of the data section.</param>
/// <param name="ByteCount">Bytes, always elements times element size.</param>
internal sealed record SafetensorsEntry(string Name, TensorType Type, int[] Shape, long Offset, int ByteCount);

/// <summary>
/// The JSON header of a safetensors file, checked: names are unique, and the tensors cover the data section without gap or
/// overlap.
/// </summary>
internal sealed class SafetensorsHeader
{
    /// <summary>Longest header that readers accept; the format's own limit.</summary>
    public const int MaxBytes = 100_000_000;

    private const string MetadataKey = "__metadata__";

    private SafetensorsHeader(List<SafetensorsEntry> entries, Dictionary<string, string> metadata)
    {
        Entries = entries;
        Metadata = metadata;
    }

    /// <summary>All tensors in the order of their bytes.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    /// <summary>The free text pairs under <c>__metadata__</c>; empty if the file has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Reads and checks a header.</summary>
    /// <param name="json">The header without its length field; spaces may follow the JSON.</param>
    /// <param name="dataLength">Bytes that follow the header in the file.</param>
    /// <param name="file">What messages call the file.</param>
    /// <exception cref="GlipFormatException">Anything is off.</exception>
    public static SafetensorsHeader Parse(ReadOnlySpan<byte> json, long dataLength, string file)
    {
        try
        {
            var header = Read(json, file);
            CheckLayout(header.Entries, dataLength, file);
            return header;
        }
        // The reader reports text that is not UTF-8 as InvalidOperationException.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new GlipFormatException($"{file}: the safetensors header is not valid JSON: {e.Message}", e);
        }
    }

    private static SafetensorsHeader Read(ReadOnlySpan<byte> json, string file)
    {
        var reader = new Utf8JsonReader(json);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new GlipFormatException($"{file}: the safetensors header must be a JSON object, found {Found(ref reader)}");

        var entries = new List<SafetensorsEntry>();
        Dictionary<string, string>? metadata = null;
        var names = new HashSet<string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            string name = reader.GetString()!;
            if (!names.Add(name))
                throw new GlipFormatException($"{file}: the name {DisplayText.Quote(name)} stands twice in the safetensors header");
            reader.Read();
            if (name == MetadataKey)
                metadata = ReadMetadata(ref reader, file);
            else
                entries.Add(ReadEntry(ref reader, name, file));
        }

        reader.Read();
        return new SafetensorsHeader(entries, metadata ?? []);
    }

    private static Dictionary<string, string> ReadMetadata(ref Utf8JsonReader reader, string file)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new GlipFormatException($"{file}: {MetadataKey} must be a JSON object, found {Found(ref reader)}");
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw new GlipFormatException($"{file}: {MetadataKey} {DisplayText.Quote(key)} must be a text, found {Found(ref reader)}");
            if (!metadata.TryAdd(key, reader.GetString()!))
                throw new GlipFormatException($"{file}: {MetadataKey} {DisplayText.Quote(key)} stands twice");
        }

        return metadata;
    }

    private static SafetensorsEntry ReadEntry(ref Utf8JsonReader reader, string name, string file)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Bad($"expected a JSON object, found {Found(ref reader)}");

        TensorType? type = null;
        List<int>? shape = null;
        (long Begin, long End)? range = null;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            string key = reader.GetString()!;
            reader.Read();
            switch (key)
            {
                case "dtype" when type is null:
                    type = ReadType(ref reader);
                    break;
                case "shape" when shape is null:
                    shape = ReadShape(ref reader);
                    break;
                case "data_offsets" when range is null:
                    range = ReadRange(ref reader);
                    break;
                case "dtype" or "shape" or "data_offsets":
                    throw Bad($"{key} stands twice");
                default:
                    reader.Skip();
                    break;
            }
        }

        if (type is null || shape is null || range is null)
        {
            string missing = type is null ? "dtype" : shape is null ? "shape" : "data_offsets";
            throw Bad($"expected dtype, shape and data_offsets, {missing} is missing");
        }

        int[] dimensions = [.. shape];
        int bytes = type.Value.ByteCount(dimensions);
        string declared = $"{type.Value.SafetensorsName()} {DisplayText.Shape(dimensions)}";
        if (bytes < 0)
            throw Bad($"{declared} is over the limit of {int.MaxValue} bytes a tensor");
        (long begin, long end) = range.Value;
        if (end - begin != bytes)
            throw Bad($"{declared} needs {bytes} bytes, data_offsets [{begin},{end}] hold {end - begin}");
        return new SafetensorsEntry(name, type.Value, dimensions, begin, bytes);

        GlipFormatException Bad(string what) => new($"{file}: tensor {DisplayText.Quote(name)}: {what}");

        TensorType ReadType(ref Utf8JsonReader reader)
        {
            if (reader.TokenType != JsonTokenType.String)
                throw Bad($"dtype must be a text, found {Found(ref reader)}");
            string text = reader.GetString()!;
            if (TensorTypes.TryParse(text, out TensorType parsed))
                return parsed;
            string known = string.Join(", ", Array.ConvertAll(Enum.GetValues<TensorType>(), t => t.SafetensorsName()));
            throw Bad($"dtype {DisplayText.Quote(text)} is not supported, expected one of {known}");
        }

        List<int> ReadShape(ref Utf8JsonReader reader)
        {
            var list = new List<int>();
            if (reader.TokenType != JsonTokenType.StartArray)
                throw Bad($"shape must be an array, found {Found(ref reader)}");
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out int dimension) || dimension < 0)
                    throw Bad($"shape must hold whole numbers 0..{int.MaxValue}, found {Found(ref reader)}");
                list.Add(dimension);
            }

            return list;
        }

        (long Begin, long End) ReadRange(ref Utf8JsonReader reader)
        {
            Span<long> ends = stackalloc long[2];
            int count = 0;
            if (reader.TokenType != JsonTokenType.StartArray)
                throw Bad($"data_offsets must be an array, found {Found(ref reader)}");
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                if (count == 2 || reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out ends[count++]) || ends[count - 1] < 0)
                    throw Bad($"data_offsets must be two whole numbers that are not negative, found {Found(ref reader)}");
            }

            if (count != 2)
                throw Bad($"data_offsets must be [begin,end], found {count} numbers");
            if (ends[0] > ends[1])
                throw Bad($"data_offsets must be [begin,end] with begin <= end, found [{ends[0]},{ends[1]}]");
            return (ends[0], ends[1]);
        }
    }

    /// <summary>The tensors, sorted, must follow each other from byte 0 to the last: the format knows neither gaps nor sharing.</summary>
    private static void CheckLayout(IReadOnlyList<SafetensorsEntry> entries, long dataLength, string file)
    {
        var sorted = (List<SafetensorsEntry>)entries;
        sorted.Sort((a, b) => (a.Offset, a.ByteCount).CompareTo((b.Offset, b.ByteCount)));
        long end = 0;
        SafetensorsEntry? previous = null;
        foreach (SafetensorsEntry entry in sorted)
        {
            string tensor = $"tensor {DisplayText.Quote(entry.Name)}";
            if (entry.Offset != end)
            {
                string before = previous is null ? "the start of the data" : $"the end of tensor {DisplayText.Quote(previous.Name)}";
                string problem = entry.Offset < end ? "an overlap" : "a gap";
                throw new GlipFormatException($"{file}: {tensor}: expected to begin at byte {end}, {before}, found {entry.Offset}: {problem}");
            }

            if (entry.ByteCount > dataLength - entry.Offset)
            {
                throw new GlipFormatException(
                    $"{file}: truncated: {tensor} ends at byte {entry.Offset + entry.ByteCount} of the data, the file has {dataLength}");
            }

            end = entry.Offset + entry.ByteCount;
            previous = entry;
        }

        if (end != dataLength)
            throw new GlipFormatException($"{file}: {dataLength - end} bytes follow the last tensor, expected none");
    }

    private static string Found(ref Utf8JsonReader reader) => reader.TokenType switch
    {
        JsonTokenType.String => $"the text {DisplayText.Quote(reader.GetString()!)}",
        JsonTokenType.Number => DisplayText.Quote(System.Text.Encoding.UTF8.GetString(reader.ValueSpan)),
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.Null => "null",
        _ => reader.TokenType.ToString(),
    };
}
