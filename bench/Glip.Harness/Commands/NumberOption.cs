using System.CommandLine;
using System.Globalization;

namespace Glip.Harness.Commands;

/// <summary>Options with a number, whose errors say which numbers are meant.</summary>
internal static class NumberOption
{
    /// <summary>A whole number; null if not given.</summary>
    public static Option<int?> Count(string name, string description, int least, int most = int.MaxValue) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            if (result.Tokens is [{ Value: var text }] && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
                && value >= least && value <= most)
                return value;
            result.AddError(
                $"{name} must be a whole number from {least} {(most == int.MaxValue ? "on" : $"to {most}")}, found '{string.Join(' ', result.Tokens)}'");
            return null;
        },
    };
}
