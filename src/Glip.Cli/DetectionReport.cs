using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Glip.Managed;
using Spectre.Console;

namespace Glip.Cli;

/// <summary>Detections for people (a table) and for programs (JSON).</summary>
internal static class DetectionReport
{
    // Wide enough for a table where no terminal says how wide it is; longer phrases wrap.
    private const int RedirectedWidth = 160;

    /// <summary>One JSON object; boxes in pixels of the picture, labels counted from 1, spans in Unicode code points of the prompt.</summary>
    public static byte[] ToJson(int width, int height, string model, string prompt, IReadOnlyList<Detection> detections)
    {
        using var buffer = new MemoryStream();
        // Text stays readable: the output is a file or a terminal, never part of a web page.
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteStartObject("image");
            json.WriteNumber("width", width);
            json.WriteNumber("height", height);
            json.WriteEndObject();
            json.WriteString("model", model);
            json.WriteString("prompt", prompt);
            json.WriteStartArray("detections");
            foreach (Detection detection in detections)
                Write(json, detection);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    public static void WriteTable(TextWriter output, IReadOnlyList<Detection> detections)
    {
        if (detections.Count == 0)
        {
            output.WriteLine("nothing found");
            return;
        }

        var table = new Table { Border = TableBorder.Simple };
        table.AddColumn("phrase");
        table.AddColumn(new TableColumn("score").RightAligned());
        table.AddColumn("box (left, top, right, bottom)");
        foreach (Detection detection in detections)
        {
            (float x1, float y1, float x2, float y2) = detection.Box;
            table.AddRow(
                new Text(detection.Phrase.Text),
                new Text(detection.Score.ToString("0.000", CultureInfo.InvariantCulture)),
                new Text(string.Create(CultureInfo.InvariantCulture, $"{x1:0.0}, {y1:0.0}, {x2:0.0}, {y2:0.0}")));
        }

        var target = new AnsiConsoleOutput(output);
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = target });
        if (!target.IsTerminal)
            console.Profile.Width = RedirectedWidth;
        console.Write(table);
    }

    private static void Write(Utf8JsonWriter json, Detection detection)
    {
        json.WriteStartObject();
        json.WriteNumber("label", detection.Label);
        json.WriteString("phrase", detection.Phrase.Text);
        json.WriteStartArray("span");
        json.WriteNumberValue(detection.Phrase.Begin);
        json.WriteNumberValue(detection.Phrase.End);
        json.WriteEndArray();
        json.WriteNumber("score", detection.Score);
        json.WriteStartArray("box");
        json.WriteNumberValue(detection.Box.X1);
        json.WriteNumberValue(detection.Box.Y1);
        json.WriteNumberValue(detection.Box.X2);
        json.WriteNumberValue(detection.Box.Y2);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
