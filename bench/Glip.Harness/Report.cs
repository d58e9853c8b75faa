using System.Text;
using System.Text.Json;

namespace Glip.Harness;

/// <summary>Output for other programs.</summary>
internal static class Report
{
    /// <summary>One JSON object, indented.</summary>
    public static string Json(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
