using System.CommandLine;
using Glip.Kernels;
using Glip.Managed.Weights;

namespace Glip.WeightsTools.Commands;

/// <summary><c>glip-weights pack MODEL --isa NAME --out PACKED</c>: a model file that is mapped instead of loaded.</summary>
internal static class PackCommand
{
    public static Command Create()
    {
        // The width of 'vector' is each machine's own, so no file can be made for it.
        string[] names = ["auto", .. SimdIsas.All.Where(isa => isa != SimdIsa.Vector).Select(SimdIsas.Name)];
        var source = new Argument<string>("MODEL") { Description = "model file" };
        var isa = new Option<string>("--isa")
        {
            Description = $"instruction set that will use it: {string.Join(", ", names)}. This machine need not have it; auto is this machine's best",
            Required = true,
            HelpName = "NAME",
        };
        isa.AcceptOnlyFromAmong(names);
        var target = new Option<string>("--out") { Description = "packed model file to write; an existing one is replaced", Required = true, HelpName = "PACKED" };
        var command = new Command("pack", "Writes a model file in the form that one instruction set reads: loading it copies nothing, and processes share its memory.") { source, isa, target };
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Pack(parsed.GetRequiredValue(source), SimdIsas.Parse(parsed.GetRequiredValue(isa)), parsed.GetRequiredValue(target), parsed.InvocationConfiguration.Output, cancellation),
            cancellation));
        return command;
    }

    private static int Pack(string source, SimdIsa isa, string target, TextWriter output, CancellationToken cancellation)
    {
        if (Path.GetFullPath(source) == Path.GetFullPath(target))
            throw new UsageException("--out is the model file itself");
        PackReport report = ModelPacker.Pack(source, isa, target, cancellation);
        output.WriteLine(
            $"wrote {target}: {report.Blocks} blocks for {report.Form.Isa}, panels of {report.Form.Layout.Width} columns, {DisplayText.Bytes(report.Bytes)}");
        return WeightsCommandLine.Done;
    }
}
