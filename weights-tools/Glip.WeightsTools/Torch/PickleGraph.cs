using Glip.Managed;

namespace Glip.WeightsTools.Torch;

/// <summary>
/// Checks that what was unpickled is a plain tree, or near enough: containers that hold themselves have no end, and a few hundred tuples that each
/// hold the one before several times unfold into more values than a machine has memory. No checkpoint has either.
/// </summary>
internal static class PickleGraph
{
    private const int MaxDepth = 1_000;
    private const int MaxValues = 4_000_000;

    /// <summary>Walks all values.</summary>
    /// <exception cref="GlipFormatException">It does not end, is too deep, or unfolds into too many values.</exception>
    public static void Check(object? root)
    {
        foreach (object _ in Leaves(root))
        {
            // the walk itself is the check
        }
    }

    /// <summary>All values from <paramref name="root"/> on that hold no others, shared ones as often as they are referred to; none of them null.</summary>
    /// <exception cref="GlipFormatException">While enumerating: as <see cref="Check"/>.</exception>
    public static IEnumerable<object> Leaves(object? root)
    {
        var path = new Stack<(object Container, int Next)>();
        var onPath = new HashSet<object>(ReferenceEqualityComparer.Instance);
        int values = 0;
        if (Enter(root) is { } only)
            yield return only;
        while (path.TryPop(out (object Container, int Next) top))
        {
            if (top.Next == Count(top.Container))
            {
                onPath.Remove(top.Container);
                continue;
            }

            path.Push((top.Container, top.Next + 1));
            if (Enter(Child(top.Container, top.Next)) is { } leaf)
                yield return leaf;
        }

        object? Enter(object? value)
        {
            if (++values > MaxValues)
                throw new GlipFormatException($"its containers unfold into more than {MaxValues} values");
            if (value is null || Count(value) == 0)
                return value;
            if (!onPath.Add(value))
                throw new GlipFormatException("a container holds itself");
            if (path.Count == MaxDepth)
                throw new GlipFormatException($"containers are nested deeper than {MaxDepth}");
            path.Push((value, 0));
            return null;
        }
    }

    private static int Count(object value) => value switch
    {
        PickleTuple tuple => tuple.Items.Length,
        PickleList list => list.Items.Count,
        PickleDict dict => 2 * dict.Pairs.Count,
        _ => 0,
    };

    private static object? Child(object container, int index) => container switch
    {
        PickleTuple tuple => tuple.Items[index],
        PickleList list => list.Items[index],
        _ => index % 2 == 0 ? ((PickleDict)container).Pairs[index / 2].Key : ((PickleDict)container).Pairs[index / 2].Value,
    };
}
