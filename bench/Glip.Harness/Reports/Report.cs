using System.Text;
using System.Text.Json;

namespace Glip.Harness.Reports;

/// <summary>How a report is written.</summary>
internal enum ReportFormat
{
    /// <summary>Aligned columns, numbers rounded.</summary>
    Table,

    /// <summary>Markdown tables, numbers rounded.</summary>
    Markdown,

    /// <summary>A header line and a line for each row; tables are separated by an empty line. Numbers are not rounded.</summary>
    Csv,

    /// <summary>One object. Numbers are not rounded.</summary>
    Json,
}

/// <summary>What a command found out: single values and tables, under the same names in all formats.</summary>
internal sealed class Report
{
    private readonly List<(string Name, Cell Value)> _values = [];
    private readonly List<ReportTable> _tables = [];

    /// <summary>Adds a single value.</summary>
    public void Add(string name, Cell value) => _values.Add((name, value));

    /// <summary>Adds a table, to be filled with rows.</summary>
    /// <param name="name">Its name in JSON.</param>
    /// <param name="columns">Names of its columns.</param>
    public ReportTable AddTable(string name, params string[] columns)
    {
        var table = new ReportTable(name, columns);
        _tables.Add(table);
        return table;
    }

    /// <summary>Writes everything.</summary>
    public void Write(TextWriter output, ReportFormat format)
    {
        if (format == ReportFormat.Json)
        {
            output.WriteLine(Json());
            return;
        }

        // Single values stand in columns for people, in one line for programs.
        var tables = new List<ReportTable>(_tables);
        if (_values.Count > 0)
        {
            bool oneLine = format == ReportFormat.Csv;
            var values = new ReportTable("", oneLine ? [.. _values.Select(v => v.Name)] : ["name", "value"]);
            if (oneLine)
                values.Add([.. _values.Select(v => v.Value)]);
            foreach ((string name, Cell value) in oneLine ? [] : _values)
                values.Add(name, value);
            tables.Insert(0, values);
        }

        for (int i = 0; i < tables.Count; i++)
        {
            if (i > 0)
                output.WriteLine();
            tables[i].Write(output, format);
        }
    }

    private string Json()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            foreach ((string name, Cell value) in _values)
            {
                writer.WritePropertyName(name);
                value.WriteTo(writer);
            }

            foreach (ReportTable table in _tables)
                table.WriteTo(writer);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
