using System.CommandLine;

namespace Glip.Harness.Reports;

/// <summary>The options that choose a report's format.</summary>
internal sealed class ReportOptions
{
    private readonly Option<ReportFormat> _format = new("--format")
    {
        Description = "table (default), markdown, csv or json",
        HelpName = "FORMAT",
        CustomParser = result =>
        {
            switch (result.Tokens)
            {
                case [{ Value: "table" }]: return ReportFormat.Table;
                case [{ Value: "markdown" }]: return ReportFormat.Markdown;
                case [{ Value: "csv" }]: return ReportFormat.Csv;
                case [{ Value: "json" }]: return ReportFormat.Json;
            }

            result.AddError($"--format must be table, markdown, csv or json, found '{string.Join(' ', result.Tokens)}'");
            return default;
        },
    };

    private readonly Option<bool> _json = new("--json") { Description = "short for --format json" };

    public void AddTo(Command command)
    {
        command.Options.Add(_format);
        command.Options.Add(_json);
        command.Validators.Add(result =>
        {
            if (result.GetResult(_json) is not null && result.GetResult(_format) is { } format && format.GetValueOrDefault<ReportFormat>() != ReportFormat.Json)
                result.AddError("--json and another --format exclude each other");
        });
    }

    /// <summary>Writes a report as asked.</summary>
    public void Write(Report report, ParseResult parsed, TextWriter output) =>
        report.Write(output, parsed.GetValue(_json) ? ReportFormat.Json : parsed.GetValue(_format));
}
