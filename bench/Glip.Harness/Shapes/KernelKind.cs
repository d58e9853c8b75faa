namespace Glip.Harness.Shapes;

/// <summary>A kernel that can be timed, and how its shapes are written: dimensions with <c>x</c> between them, then modifiers, each a letter and a number.</summary>
/// <param name="Name">The name in reports: <c>gemm</c>.</param>
/// <param name="Dimensions">The dimensions' names: <c>MxNxK</c>.</param>
/// <param name="Modifiers">What may follow: <c>k1s2</c>.</param>
/// <param name="Create">Makes the shape; may refuse numbers that do not go together with a <see cref="UsageException"/>.</param>
internal sealed record KernelKind(string Name, string Dimensions, ShapeModifier[] Modifiers, Func<ShapeNumbers, KernelShape> Create)
{
    // Far above any layer, and small enough that products of three dimensions fit a long.
    private const int Largest = 1 << 20;

    /// <summary>All kinds.</summary>
    public static IReadOnlyList<KernelKind> All { get; } =
        [GemmShape.Grammar, ConvShape.Grammar, DcnShape.Grammar, WindowAttentionShape.Grammar, BertLayerShape.Grammar, MultiHeadAttentionShape.Grammar, BiAttentionShape.Grammar];

    /// <summary>Reads a shape.</summary>
    /// <param name="text">As a user wrote it.</param>
    /// <param name="options">Modifiers, by letter, of shapes that do not name them.</param>
    /// <exception cref="UsageException">Not such a shape, or one that is too large.</exception>
    public KernelShape Parse(string text, IReadOnlyDictionary<char, int>? options = null)
    {
        int end = 0;
        while (end < text.Length && (char.IsAsciiDigit(text[end]) || text[end] == 'x'))
            end++;
        string[] parts = text[..end].Split('x');
        string[] names = Dimensions.Split('x');
        var dimensions = new int[names.Length];
        if (parts.Length != names.Length)
            throw Unreadable(text, $"{names.Length} dimensions");
        for (int i = 0; i < parts.Length; i++)
        {
            if (!int.TryParse(parts[i], out dimensions[i]) || dimensions[i] is < 1 or > Largest)
                throw Unreadable(text, $"{names[i]} from 1 to {Largest}");
        }

        var modifiers = new Dictionary<char, int>(options ?? new Dictionary<char, int>());
        while (end < text.Length)
        {
            char letter = text[end++];
            int start = end;
            while (end < text.Length && char.IsAsciiDigit(text[end]))
                end++;
            if (Modifiers.All(m => m.Letter != letter) || !int.TryParse(text.AsSpan(start, end - start), out int value) || value > Largest)
                throw Unreadable(text, Modifiers.Length == 0 ? "nothing behind the dimensions" : $"modifiers {string.Join(", ", Modifiers.Select(m => $"{m.Letter} ({m.Name})"))} with a number each");
            modifiers[letter] = value;
        }

        try
        {
            KernelShape shape = Create(new ShapeNumbers(dimensions, modifiers));
            _ = shape.MultiplyAdds;
            return shape;
        }
        catch (OverflowException)
        {
            throw new UsageException($"--shape '{text}' is too large to be counted");
        }
    }

    private UsageException Unreadable(string text, string expected)
    {
        string modifiers = string.Concat(Modifiers.Select(m => $"[{m.Letter}{m.Name.ToUpperInvariant()}]"));
        return new($"--shape '{text}' is not a {Name} shape {Dimensions}{modifiers}: expected {expected}");
    }
}

/// <summary>A number that may follow the dimensions.</summary>
/// <param name="Letter">Its letter in a shape.</param>
/// <param name="Name">Its name, also that of the option which sets it for all shapes without it.</param>
/// <param name="Description">What it is, and its default.</param>
internal sealed record ShapeModifier(char Letter, string Name, string Description);

/// <summary>The numbers of a shape as it was written.</summary>
internal sealed class ShapeNumbers(int[] dimensions, IReadOnlyDictionary<char, int> modifiers)
{
    /// <summary>A dimension, counted from the left.</summary>
    public int this[int index] => dimensions[index];

    /// <summary>A modifier, or what it is where it is not written.</summary>
    public int this[char letter, int fallback] => modifiers.GetValueOrDefault(letter, fallback);
}
