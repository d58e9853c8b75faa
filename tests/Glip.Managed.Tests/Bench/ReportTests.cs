using Glip.Harness.Reports;

namespace Glip.Tests.Bench;

public class ReportTests
{
    [Fact]
    public void People_get_aligned_columns_of_rounded_numbers() =>
        Assert.Equal(
            """
            name   value
            model  a, "b"
            ms     1.2

            stage   macs    rate
            x|y       12  0.3333
            longer     7
            """,
            Written(ReportFormat.Table));

    [Fact]
    public void Markdown_has_tables_that_keep_their_cells_apart() =>
        Assert.Equal(
            """
            | name | value |
            | --- | --- |
            | model | a, "b" |
            | ms | 1.2 |

            | stage | macs | rate |
            | --- | ---: | ---: |
            | x\|y | 12 | 0.3333 |
            | longer | 7 |  |
            """,
            Written(ReportFormat.Markdown));

    [Fact]
    public void Csv_has_exact_numbers_and_quotes_where_needed() =>
        Assert.Equal(
            """"
            model,ms
            "a, ""b""",1.24

            stage,macs,rate
            x|y,12,0.3333333333333333
            longer,7,
            """",
            Written(ReportFormat.Csv));

    [Fact]
    public void Json_is_one_object_with_exact_numbers_and_null_for_no_value() =>
        Assert.Equal(
            """
            {
              "model": "a, \u0022b\u0022",
              "ms": 1.24,
              "stages": [
                {
                  "stage": "x|y",
                  "macs": 12,
                  "rate": 0.3333333333333333
                },
                {
                  "stage": "longer",
                  "macs": 7,
                  "rate": null
                }
              ]
            }
            """,
            Written(ReportFormat.Json));

    [Fact]
    public void Rows_fit_their_columns() => Assert.Throws<ArgumentException>(() => new Report().AddTable("t", "a", "b").Add(1));

    private static string Written(ReportFormat format)
    {
        var report = new Report();
        report.Add("model", "a, \"b\"");
        report.Add("ms", Cell.Number(1.24, 1));
        ReportTable table = report.AddTable("stages", "stage", "macs", "rate");
        table.Add("x|y", 12, Cell.Number(1.0 / 3, 4));
        table.Add("longer", 7, Cell.Number(double.NaN, 4));
        using var output = new StringWriter { NewLine = "\n" };
        report.Write(output, format);
        return output.ToString().TrimEnd('\n');
    }
}
