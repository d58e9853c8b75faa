using System.CommandLine;
using Glip.WeightsTools.Tensors;

namespace Glip.WeightsTools.Commands;

/// <summary><c>glip-weights inspect FILE</c>: what a model file or a checkpoint holds.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        var file = new Argument<string>("FILE") { Description = "model file, checkpoint or any safetensors file" };
        var summary = new Option<bool>("--summary") { Description = "leave out the list of tensors and their hashes, and read no weight" };
        var ema = new Option<bool>("--ema") { Description = "show the moving average of the weights (model_ema) of a checkpoint" };
        var command = new Command("inspect", "Shows configuration, parameters by part, and each tensor's type, shape and hash.") { file, summary, ema };
        command.SetAction(parsed =>
        {
            var options = new TensorFileOptions { UseEma = parsed.GetValue(ema) };
            using TensorFile tensors = MmdetTensors.OrOriginal(TensorFile.Open(parsed.GetRequiredValue(file), options));
            FileSummary.Write(tensors, withTensors: !parsed.GetValue(summary), parsed.InvocationConfiguration.Output);
            return WeightsCommandLine.Done;
        });
        return command;
    }
}
