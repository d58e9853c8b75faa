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
            var reference = ModelReference.Parse(parsed.GetRequiredValue(model), parsed.GetValue(vocabulary));
            reference.CheckFiles();
            using WeightSource source = reference.Open();
            ModelSummary.Of(source).WriteTo(context.Out);
            return GlipCommandLine.Success;
        });
        return command;
    }
}
