using System.CommandLine;
using System.Globalization;
using Glip.Kernels;
using Glip.Managed;
using Glip.WeightsTools.Tensors;
using Glip.WeightsTools.Verification;

namespace Glip.WeightsTools.Commands;

/// <summary><c>glip-weights verify MODEL</c>: computes the stages that were recorded and says which is the first that disagrees.</summary>
internal static class VerifyCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "model file" };
        var against = new Option<string?>("--against")
        {
            Description = "recording of stages (glip trace --out, or the original's). Default: the values that convert --golden put into the model file",
            HelpName = "TRACE",
        };
        var isa = new Option<string>("--isa") { Description = "instruction set, as of glip detect", DefaultValueFactory = _ => "auto", HelpName = "NAME" };
        isa.AcceptOnlyFromAmong(["auto", .. SimdIsas.All.Select(SimdIsas.Name)]);
        var command = new Command("verify", "Recomputes recorded stages and compares. Exit code 1 if one disagrees.") { model, against, isa };
        command.SetAction(parsed => Run(
            parsed.GetRequiredValue(model), parsed.GetValue(against), new GlipOptions { Isa = parsed.GetRequiredValue(isa) }, parsed.InvocationConfiguration.Output));
        return command;
    }

    private static int Run(string model, string? against, GlipOptions options, TextWriter output)
    {
        StageRecording recording = against is null ? OwnRecording(model) : StageRecording.FromTrace(against, allElements: true);
        IReadOnlyList<StageCheck> stages;
        try
        {
            stages = ModelVerifier.Compare(model, recording, options);
        }
        catch (Exception e) when (e is ArgumentException or PlatformNotSupportedException) // an instruction set that is missing here, or of the recording's text
        {
            throw new GlipFormatException(e.Message, e);
        }

        foreach (StageCheck stage in stages)
            output.WriteLine($"{stage.Name,-40} {stage.Problem ?? stage.Error.ToString("0.0e+0", CultureInfo.InvariantCulture)}");
        if (stages.FirstOrDefault(s => s.Problem is not null) is { } first)
            throw new GlipFormatException($"{model}: the first stage that disagrees is {first.Name}: {first.Problem}");
        string largest = stages.Max(s => s.Error).ToString("0.0e+0", CultureInfo.InvariantCulture);
        output.WriteLine($"verified: all {stages.Count} stages agree, the largest difference is {largest} of a stage's largest value");
        return WeightsCommandLine.Done;
    }

    private static StageRecording OwnRecording(string model)
    {
        using TensorFile file = TensorFile.Open(model);
        return StageRecording.FromModel(file)
            ?? throw new GlipFormatException($"{model}: has no recorded stages of its own: convert with --golden, or name a recording with --against");
    }
}
