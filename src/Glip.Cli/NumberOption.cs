using System.CommandLine;
using System.Globalization;

namespace Glip.Cli;

/// <summary>Options with a number, whose errors say which numbers are meant.</summary>
internal static class NumberOption
{
    /// <summary>A whole number from 0 to <paramref name="most"/>; null if not given.</summary>
    public static Option<int?> Count(string name, string description, int most = int.MaxValue) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            if (result.Tokens is [{ Value: var text }] && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value <= most)
                return value;
            result.AddError($"{name} must be a whole number from 0 {(most == int.MaxValue ? "on" : $"to {most}")}, got '{string.Join(' ', result.Tokens)}'");
            return null;
        },
    };

    /// <summary>A number from 0 to 1; null if not given.</summary>
    public static Option<float?> Fraction(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "X",
        CustomParser = result =>
        {
            if (result.Tokens is [{ Value: var text }] && float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && value is >= 0 and <= 1)
                return value;
            result.AddError($"{name} must be a number from 0 to 1, got '{string.Join(' ', result.Tokens)}'");
            return null;
        },
    };
}
