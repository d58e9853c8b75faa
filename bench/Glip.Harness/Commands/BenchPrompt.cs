using System.Text;
using Glip.Managed.Model;
using Glip.Managed.Text;

namespace Glip.Harness.Commands;

/// <summary>A sentence and a vocabulary in which each of its words is one token: procedural weights come without a vocabulary, and only numbers of tokens and labels cost time.</summary>
internal sealed class BenchPrompt
{
    // [CLS], a word, [SEP].
    private const int LeastTokens = 3;

    private readonly string[] _words;

    private BenchPrompt(Prompt prompt, string[] words)
    {
        Prompt = prompt;
        _words = words;
    }

    /// <summary>What is asked for.</summary>
    public Prompt Prompt { get; }

    /// <summary>Text tokens, specials included.</summary>
    public int Tokens => _words.Length + 2;

    /// <summary>One label in so many tokens.</summary>
    /// <exception cref="UsageException">More or fewer than the model reads.</exception>
    public static BenchPrompt OfLength(GlipConfig config, int tokens)
    {
        if (tokens < LeastTokens || tokens > config.MaxQueryLength)
            throw new UsageException($"--tokens must be {LeastTokens} to {config.MaxQueryLength}, which is what {config.Name} reads, found {tokens}");
        string[] words = [.. Enumerable.Repeat("a", tokens - 2)];
        return new BenchPrompt(Prompt.FromSpans(string.Join(' ', words), [(0, 1)]), words);
    }

    /// <summary>A sentence as <c>glip detect</c> takes it.</summary>
    /// <exception cref="UsageException">No label, or more words than the model reads.</exception>
    public static BenchPrompt OfText(GlipConfig config, string text)
    {
        string[] words = [.. Words(text)];
        Prompt prompt;
        try
        {
            prompt = Prompt.Parse(text);
        }
        catch (ArgumentException e)
        {
            throw new UsageException($"--prompt: {e.Message}");
        }

        if (words.Length + 2 > config.MaxQueryLength)
            throw new UsageException($"--prompt has {words.Length} words and signs, {config.Name} reads {config.MaxQueryLength - 2}");
        return new BenchPrompt(prompt, words);
    }

    /// <summary>So many labels of two words, which with the separator are three tokens each; split over as many prompts as the model needs.</summary>
    public static BenchPrompt OfLabels(int count)
    {
        string[] labels = [.. Enumerable.Range(0, count).Select(i => $"thing{i} part")];
        return new BenchPrompt(Prompt.FromCategories(labels), [.. labels.SelectMany(label => Words(label + " ."))]);
    }

    /// <summary>A vocabulary of the model's size: specials, the prompt's words, and fillers.</summary>
    public byte[] Vocabulary(GlipConfig config)
    {
        string[] known = [.. new[] { "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]" }.Concat(_words.Distinct())];
        int size = config.Bert.VocabularySize;
        if (known.Length > size)
            throw new UsageException($"--prompt has {known.Length - 5} different words, the vocabulary of {config.Name} holds {size - 5}");
        return Encoding.UTF8.GetBytes(string.Join('\n', known.Concat(Enumerable.Range(known.Length, size - known.Length).Select(i => $"[unused{i}]"))));
    }

    /// <summary>Runs of letters and digits in lower case, and every other sign by itself, as BERT cuts before it looks words up.</summary>
    private static IEnumerable<string> Words(string text)
    {
        for (int i = 0; i < text.Length;)
        {
            int begin = i++;
            if (char.IsWhiteSpace(text[begin]))
                continue;
            while (char.IsLetterOrDigit(text[begin]) && i < text.Length && char.IsLetterOrDigit(text[i]))
                i++;
            yield return text[begin..i].ToLowerInvariant();
        }
    }
}
