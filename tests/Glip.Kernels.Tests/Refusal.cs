namespace Glip.Kernels.Tests;

/// <summary>What a kernel must say about an argument that it cannot accept.</summary>
internal static class Refusal
{
    /// <summary>Demands an <see cref="ArgumentException"/> (or one of its kind) that names <paramref name="argument"/> and starts with <paramref name="message"/>.</summary>
    public static void Names(string argument, string message, Action call)
    {
        var error = Assert.ThrowsAny<ArgumentException>(call);
        Assert.Equal(argument, error.ParamName);
        Assert.StartsWith(message, error.Message);
    }

    /// <summary>Demands an <see cref="ArgumentNullException"/>.</summary>
    public static void NamesNull(string argument, Action call) => Assert.Throws<ArgumentNullException>(argument, call);
}
