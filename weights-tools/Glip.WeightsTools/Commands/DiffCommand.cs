using System.CommandLine;
using Glip.Managed.Weights;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools.Commands;

/// <summary><c>glip-weights diff A B</c>: where two files of tensors differ. Exit code 0 if nowhere, 1 if somewhere.</summary>
internal static class DiffCommand
{
    public static Command Create()
    {
        var first = new Argument<string>("A") { Description = "model file, checkpoint or any safetensors file" };
        var second = new Argument<string>("B") { Description = "another" };
        var command = new Command("diff", "Shows the tensors and metadata in which two files differ. Exit code 1 if there are any.") { first, second };
        command.SetAction(parsed =>
        {
            using TensorFile a = MmdetTensors.OrOriginal(TensorFile.Open(parsed.GetRequiredValue(first)));
            using TensorFile b = MmdetTensors.OrOriginal(TensorFile.Open(parsed.GetRequiredValue(second)));
            return Compare(a, b, parsed.InvocationConfiguration.Output) ? WeightsCommandLine.Done : WeightsCommandLine.Failed;
        });
        return command;
    }

    private static bool Compare(TensorFile a, TensorFile b, TextWriter output)
    {
        bool same = true;
        foreach (string key in a.Metadata.Keys.Union(b.Metadata.Keys).Order(StringComparer.Ordinal))
        {
            if (a.Metadata.GetValueOrDefault(key) == b.Metadata.GetValueOrDefault(key))
                continue;
            same = false;
            string where = !a.Metadata.ContainsKey(key) ? "only in the second file" : !b.Metadata.ContainsKey(key) ? "only in the first file" : "differs";
            output.WriteLine($"metadata {DisplayText.Quote(key)}: {where}");
        }

        int differing = 0;
        foreach (TensorDifference difference in TensorDifference.Between(a, b))
        {
            differing++;
            output.WriteLine($"{DisplayText.Quote(difference.Name)}: {difference.Text}");
        }

        int all = a.Names.Union(b.Names).Count();
        output.WriteLine(differing == 0 ? $"{all} tensors, all equal" : $"{differing} of {all} tensors differ");
        return same && differing == 0;
    }
}
