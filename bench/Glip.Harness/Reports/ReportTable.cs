using System.Text.Json;

namespace Glip.Harness.Reports;

/// <summary>Rows under named columns.</summary>
internal sealed class ReportTable(string name, string[] columns)
{
    private readonly List<Cell[]> _rows = [];

    /// <summary>Adds a row, a value for each column.</summary>
    public void Add(params Cell[] row)
    {
        if (row.Length != columns.Length)
            throw new ArgumentException($"a row of {row.Length} values under {columns.Length} columns", nameof(row));
        _rows.Add(row);
    }

    public void Write(TextWriter output, ReportFormat format)
    {
        switch (format)
        {
            case ReportFormat.Csv:
                output.WriteLine(string.Join(',', columns.Select(Quote)));
                foreach (Cell[] row in _rows)
                    output.WriteLine(string.Join(',', row.Select(cell => Quote(cell.Exact))));
                break;
            case ReportFormat.Markdown:
                output.WriteLine($"| {string.Join(" | ", columns)} |");
                output.WriteLine($"| {string.Join(" | ", columns.Select((_, i) => IsNumeric(i) ? "---:" : "---"))} |");
                foreach (Cell[] row in _rows)
                    output.WriteLine($"| {string.Join(" | ", row.Select(cell => cell.Display.Replace("|", "\\|", StringComparison.Ordinal)))} |");
                break;
            default:
                int[] widths = [.. columns.Select((column, i) => _rows.Select(row => row[i].Display.Length).Append(column.Length).Max())];
                output.WriteLine(Line(i => columns[i]));
                foreach (Cell[] row in _rows)
                    output.WriteLine(Line(i => row[i].Display));
                break;

                string Line(Func<int, string> text) =>
                    string.Join("  ", columns.Select((_, i) => IsNumeric(i) ? text(i).PadLeft(widths[i]) : text(i).PadRight(widths[i]))).TrimEnd();
        }
    }

    public void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartArray(name);
        foreach (Cell[] row in _rows)
        {
            writer.WriteStartObject();
            for (int i = 0; i < columns.Length; i++)
            {
                writer.WritePropertyName(columns[i]);
                row[i].WriteTo(writer);
            }

            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private bool IsNumeric(int column) => _rows.Count > 0 && _rows.All(row => row[column].IsNumber);

    private static string Quote(string text) => text.AsSpan().ContainsAny(",\"\n\r") ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
}
