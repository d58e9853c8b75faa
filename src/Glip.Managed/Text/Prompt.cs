using Glip.Managed.Weights;

namespace Glip.Managed.Text;

/// <summary>What to look for: a caption and the phrases in it. Label i + 1 of the detections is <c>Phrases[i]</c>. Immutable.</summary>
public sealed class Prompt
{
    private readonly (int Begin, int End)[][] _spans;

    private Prompt(string caption, PhraseSpan[] phrases, (int Begin, int End)[][] spans, string parameter)
    {
        if (phrases.Length == 0)
        {
            throw new ArgumentException(
                "the prompt names nothing to look for; write phrases with full stops between, e.g. \"person . red car\"", parameter);
        }

        Caption = caption;
        Phrases = phrases;
        _spans = spans;
    }

    /// <summary>The text that the model reads.</summary>
    public string Caption { get; }

    /// <summary>The phrases in the order of their labels, which count from 1.</summary>
    public IReadOnlyList<PhraseSpan> Phrases { get; }

    /// <summary>What prompt tuning adds to the text encoder's output; null for a prompt that is text only.</summary>
    internal PromptRows? Tuning { get; private init; }

    /// <summary>The same prompt, tuned.</summary>
    internal Prompt TunedBy(PromptRows rows) => new(Caption, [.. Phrases], _spans, nameof(rows)) { Tuning = rows };

    /// <summary>True if the caption is nothing but its phrases and full stops, so that some of them alone are a prompt too.</summary>
    internal bool IsList { get; private init; }

    /// <summary>The parts of the caption, in code points, whose tokens score a label (from 1). The first is the phrase's own.</summary>
    internal ReadOnlySpan<(int Begin, int End)> SpansOf(int label) => _spans[label - 1];

    /// <summary>Reads a sentence: the caption is the sentence unchanged, its phrases are the parts between full stops.</summary>
    /// <param name="sentence">
    /// Phrases with full stops between, <c>person . red car</c>. White space around them does not count, nor do empty ones. Without a
    /// full stop the whole is one phrase.
    /// </param>
    /// <exception cref="ArgumentException">No phrase.</exception>
    public static Prompt Parse(string sentence)
    {
        ArgumentNullException.ThrowIfNull(sentence);
        var phrases = new List<PhraseSpan>();
        int counted = 0;
        int character = 0; // the code point at which unit 'counted' stands
        foreach (Range part in sentence.AsSpan().Split('.'))
        {
            ReadOnlySpan<char> text = sentence.AsSpan(part);
            int begin = part.Start.Value + text.Length - text.TrimStart().Length;
            text = text.Trim();
            if (text.IsEmpty)
                continue;

            character += CodePoints.Count(sentence.AsSpan(counted..begin));
            int end = character + CodePoints.Count(text);
            phrases.Add(new PhraseSpan(text.ToString(), character, end));
            counted = begin + text.Length;
            character = end;
        }

        return Create(sentence, phrases, nameof(sentence), isList: true);
    }

    /// <summary>Looks for a list of categories: the caption is each of them followed by <c>" . "</c>.</summary>
    /// <param name="categories">The categories, used as they are.</param>
    /// <exception cref="ArgumentException">No category, or a blank one.</exception>
    public static Prompt FromCategories(IEnumerable<string> categories)
    {
        const string Separator = " . ";
        ArgumentNullException.ThrowIfNull(categories);
        var phrases = new List<PhraseSpan>();
        string[] list = [.. categories];
        int begin = 0;
        foreach (string category in list)
        {
            if (string.IsNullOrWhiteSpace(category))
                throw new ArgumentException($"categories[{phrases.Count}] is blank; expected a name", nameof(categories));
            int end = begin + CodePoints.Count(category);
            phrases.Add(new PhraseSpan(category, begin, end));
            begin = end + Separator.Length;
        }

        return Create(string.Concat(list.Select(category => category + Separator)), phrases, nameof(categories), isList: true);
    }

    /// <summary>Looks for given parts of a caption.</summary>
    /// <param name="caption">The text that the model reads, used unchanged.</param>
    /// <param name="spans">The characters <c>[Begin, End)</c> of each phrase, counted in code points.</param>
    /// <exception cref="ArgumentException">No span, or one that is empty or outside the caption.</exception>
    public static Prompt FromSpans(string caption, IEnumerable<(int Begin, int End)> spans)
    {
        ArgumentNullException.ThrowIfNull(spans);
        return FromSpans(caption, Array.ConvertAll(spans.ToArray(), span => new[] { span }));
    }

    /// <summary>Looks for given parts of a caption, where one phrase may stand in several.</summary>
    /// <param name="caption">The text that the model reads, used unchanged.</param>
    /// <param name="spans">
    /// For each label the characters <c>[Begin, End)</c> of its phrase, counted in code points. The tokens of all of them score the
    /// label; the first is the one that <see cref="Phrases"/> reports.
    /// </param>
    /// <exception cref="ArgumentException">No label, a label without a span, or a span that is empty or outside the caption.</exception>
    public static Prompt FromSpans(string caption, IEnumerable<IReadOnlyList<(int Begin, int End)>> spans)
    {
        ArgumentNullException.ThrowIfNull(caption);
        ArgumentNullException.ThrowIfNull(spans);
        int[] starts = CodePoints.Starts(caption);
        int length = starts.Length - 1;
        var phrases = new List<PhraseSpan>();
        var labels = new List<(int Begin, int End)[]>();
        foreach (IReadOnlyList<(int Begin, int End)> label in spans)
        {
            if (label is null or { Count: 0 })
                throw new ArgumentException($"label {labels.Count + 1} has no span; expected at least one", nameof(spans));
            foreach (var (begin, end) in label)
            {
                if (begin < 0 || end <= begin || end > length)
                {
                    throw new ArgumentException(
                        $"label {labels.Count + 1}: expected a span in 0..{length}, not empty, found [{begin}, {end})", nameof(spans));
                }
            }

            var first = label[0];
            phrases.Add(new PhraseSpan(caption[starts[first.Begin]..starts[first.End]], first.Begin, first.End));
            labels.Add([.. label]);
        }

        return new Prompt(caption, [.. phrases], [.. labels], nameof(spans));
    }

    /// <summary>Looks for phrases where they first stand in a caption.</summary>
    /// <param name="caption">The text that the model reads, used unchanged.</param>
    /// <param name="phrases">Plain texts, each searched as it is, case-sensitive; inside a word counts too.</param>
    /// <exception cref="ArgumentException">No phrase, an empty one, or one that the caption does not have.</exception>
    public static Prompt FromPhrases(string caption, IEnumerable<string> phrases)
    {
        ArgumentNullException.ThrowIfNull(caption);
        ArgumentNullException.ThrowIfNull(phrases);
        int[] starts = CodePoints.Starts(caption);
        var found = new List<PhraseSpan>();
        foreach (string phrase in phrases)
        {
            if (string.IsNullOrEmpty(phrase))
                throw new ArgumentException($"phrases[{found.Count}] is empty; expected a part of the caption", nameof(phrases));

            int unit = -1, begin, end;
            do
            {
                unit = caption.IndexOf(phrase, unit + 1, StringComparison.Ordinal);
                if (unit < 0)
                {
                    throw new ArgumentException(
                        $"phrases[{found.Count}], '{phrase}', does not stand in the caption '{caption}'", nameof(phrases));
                }

                begin = Array.BinarySearch(starts, unit);
                end = Array.BinarySearch(starts, unit + phrase.Length);
            }
            while (begin < 0 || end < 0); // a match that cuts a surrogate pair is none

            found.Add(new PhraseSpan(phrase, begin, end));
        }

        return Create(caption, found, nameof(phrases), isList: false);
    }

    /// <summary>Reads a sentence, see <see cref="Parse"/>.</summary>
    public static implicit operator Prompt(string sentence) => Parse(sentence);

    /// <summary>The caption.</summary>
    public override string ToString() => Caption;

    /// <summary>Some phrases of a list with the caption from the first of them to what follows the last.</summary>
    /// <param name="first">The first phrase, from 0.</param>
    /// <param name="count">How many, at least 1.</param>
    /// <param name="starts"><see cref="CodePoints.Starts"/> of the caption.</param>
    internal Prompt Part(int first, int count, int[] starts)
    {
        int begin = first == 0 ? 0 : Phrases[first].Begin;
        int end = first + count == Phrases.Count ? starts.Length - 1 : Phrases[first + count].Begin;
        var phrases = new List<PhraseSpan>(count);
        for (int i = first; i < first + count; i++)
            phrases.Add(Phrases[i] with { Begin = Phrases[i].Begin - begin, End = Phrases[i].End - begin });
        return Create(Caption[starts[begin]..starts[end]], phrases, nameof(first), isList: true);
    }

    private static Prompt Create(string caption, List<PhraseSpan> phrases, string parameter, bool isList) =>
        new(caption, [.. phrases], [.. phrases.ConvertAll(phrase => new[] { (phrase.Begin, phrase.End) })], parameter) { IsList = isList };
}
