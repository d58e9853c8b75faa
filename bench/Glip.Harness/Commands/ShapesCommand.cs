using System.CommandLine;
using Glip.Harness.Reports;
using Glip.Harness.Shapes;

namespace Glip.Harness.Commands;

/// <summary>Lists the shapes that the kernel commands run: every matrix product, convolution and attention of the models.</summary>
internal static class ShapesCommand
{
    public static Command Create(TextWriter output)
    {
        var models = new ModelOptions();
        var format = new ReportOptions();
        var command = new Command("shapes", "list every matrix product, convolution and attention of the models, where it occurs and how often");
        models.AddTo(command);
        format.AddTo(command);
        command.SetAction(parsed =>
        {
            var report = new Report();
            ReportTable rows = report.AddTable("rows", "config", "size", "tokens", "stage", "part", "kernel", "shape", "count", "macs", "inside");
            foreach ((string config, string size, int tokens, IReadOnlyList<ShapeUse> uses) in models.Shapes(parsed))
            {
                foreach (ShapeUse use in uses)
                    rows.Add(config, size, tokens, use.Stage, use.Part, use.Shape.Kind.Name, use.Shape.Text, use.Count, use.Shape.MultiplyAdds, use.Inside);
            }

            format.Write(report, parsed, output);
        });
        return command;
    }
}
