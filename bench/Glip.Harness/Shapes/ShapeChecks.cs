namespace Glip.Harness.Shapes;

/// <summary>What several kinds of shapes demand.</summary>
internal static class ShapeChecks
{
    public static void Heads(int channels, int heads)
    {
        if (heads < 1 || channels % heads != 0)
            throw new UsageException($"{channels} channels do not divide into {heads} heads");
    }
}
