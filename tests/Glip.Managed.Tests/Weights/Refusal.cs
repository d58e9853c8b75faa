namespace Glip.Tests.Weights;

/// <summary>Asserts that something is refused, and says why.</summary>
internal static class Refusal
{
    /// <summary><paramref name="action"/> must throw exactly <typeparamref name="T"/> with a message that contains <paramref name="part"/>.</summary>
    public static void Expect<T>(string part, Action action)
        where T : Exception => Assert.Contains(part, Assert.Throws<T>(action).Message, StringComparison.Ordinal);
}
