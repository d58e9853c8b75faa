using System.CommandLine;
using Glip.Managed.Weights;

namespace Glip.Cli;

/// <summary><c>glip inspect MODEL</c>: what a model is made of.</summary>
internal static class InspectCommand
{
    public static Command Create(CommandContext context)
    {
        var model = new Argument<string>("MODEL") { Description = "Model file, or procedural:CONFIG:SEED (with --vocab)." };
        var vocabulary = new Option<string?>("--vocab") { Description = "WordPiece vocabulary, one token a line; replaces the one in the model file.", HelpName = "FILE" };
        var command = new Command("inspect", "Shows what a model is made of.") { model, vocabulary };
        command.SetAction(parsed =>
        {
            ModelReference reference = ModelReference.Parse(parsed.GetRequiredValue(model), parsed.GetValue(vocabulary));
            ModelReport report = Progress.Run(context, "reading the model", () =>
            {
                using WeightSource source = reference.Open();
                return ModelReport.Of(source, context.Cancellation);
            });
            report.WriteTo(context.Out);
            return GlipCommandLine.Success;
        });
        return command;
    }
}
