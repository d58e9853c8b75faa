using System.Globalization;

namespace Glip.Fuzzing;

/// <summary>The options of the fuzz tools' command lines: names, each with a number.</summary>
internal static class NumberOptions
{
    /// <summary>Pairs of a name and a number from 0 up; null if <paramref name="args"/> are anything else.</summary>
    public static Dictionary<string, int>? Parse(string[] args, params string[] names)
    {
        var numbers = new Dictionary<string, int>();
        for (int i = 0; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length || !names.Contains(args[i]) || !int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out int value) || value < 0)
                return null;
            numbers[args[i]] = value;
        }

        return numbers;
    }
}
