namespace Glip.Managed.Text;

/// <summary>What BERT's uncased normaliser does with each Unicode code point.</summary>
/// <remarks>
/// The reference tokenizer carries Unicode tables of about version 8. Newer ones (.NET's) differ in marks, case pairs
/// and ideographs, and so would the tokens; hence a table of its own, made by
/// <c>weights-tools/reference/bert_characters_table.py</c> from a list of what the reference does with every code point.
/// Each code point is taken by itself. Canonical reordering of marks is left out: nearly all marks that it moves are
/// dropped, and it could show only between two that are kept (some spacing ones, and those newer than the table).
/// </remarks>
internal static partial class BertCharacters
{
    /// <summary>Most code points that one becomes.</summary>
    public const int LongestNormalized = 3;

    // Actions of Runs.
    private const int Remove = 0;            // to nothing: controls, nonspacing marks
    private const int Space = 1;             // to ' '
    private const int Ideograph = 2;         // to itself with a space on both sides
    private const int Shift = 3;             // value is added
    private const int ShiftEverySecond = 4;  // value is added to the first, third, fifth… of the run
    private const int List = 5;              // Targets[value + place in the run]
    private const int IdeographList = 6;     // the same, with a space on both sides
    private const int PairList = 7;          // two of Targets
    private const int TripleList = 8;        // three of Targets

    private const int RunLength = 4;

    /// <summary>Normalises one code point: cleaned, ideographs set apart, decomposed, accents dropped, lowercased.</summary>
    /// <param name="codePoint">0…0x10FFFF.</param>
    /// <param name="normalized">Room for <see cref="LongestNormalized"/> code points. White space arrives as <c>' '</c>.</param>
    /// <returns>How many were written; 0 where the code point vanishes.</returns>
    public static int Normalize(int codePoint, Span<int> normalized)
    {
        if (codePoint is >= FirstSyllable and <= LastSyllable)
            return DecomposeSyllable(codePoint - FirstSyllable, normalized);

        ReadOnlySpan<int> run = Find(Runs, RunLength, codePoint);
        normalized[0] = codePoint;
        if (run.IsEmpty)
            return 1;

        int place = codePoint - run[0];
        int value = run[3];
        switch (run[2])
        {
            case Remove:
                return 0;
            case Space:
                normalized[0] = ' ';
                return 1;
            case Ideograph:
                return SetApart(codePoint, normalized);
            case Shift:
                normalized[0] = codePoint + value;
                return 1;
            case ShiftEverySecond:
                normalized[0] = codePoint + (place % 2 == 0 ? value : 0);
                return 1;
            case List:
                normalized[0] = Targets[value + place];
                return 1;
            case IdeographList:
                return SetApart(Targets[value + place], normalized);
            case PairList:
                Targets.Slice(value + 2 * place, 2).CopyTo(normalized);
                return 2;
            default: // TripleList
                Targets.Slice(value + 3 * place, 3).CopyTo(normalized);
                return 3;
        }
    }

    /// <summary>True if a normalised code point always stands alone as a word.</summary>
    public static bool IsPunctuation(int codePoint) => !Find(Punctuation, 2, codePoint).IsEmpty;

    private static int SetApart(int ideograph, Span<int> normalized)
    {
        normalized[0] = ' ';
        normalized[1] = ideograph;
        normalized[2] = ' ';
        return 3;
    }

    // Hangul syllables decompose by arithmetic (The Unicode Standard, section 3.12).
    private const int FirstSyllable = 0xAC00;
    private const int LastSyllable = 0xD7A3;
    private const int FirstLead = 0x1100;
    private const int FirstVowel = 0x1161;
    private const int NoTail = 0x11A7;
    private const int Vowels = 21;
    private const int Tails = 28;

    private static int DecomposeSyllable(int index, Span<int> normalized)
    {
        int tail = index % Tails;
        normalized[0] = FirstLead + index / (Vowels * Tails);
        normalized[1] = FirstVowel + index / Tails % Vowels;
        if (tail == 0)
            return 2;
        normalized[2] = NoTail + tail;
        return 3;
    }

    /// <summary>The row (first, last, …) whose range holds the code point, or nothing.</summary>
    private static ReadOnlySpan<int> Find(ReadOnlySpan<int> rows, int rowLength, int codePoint)
    {
        int low = 0;
        int high = rows.Length / rowLength - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            ReadOnlySpan<int> row = rows.Slice(middle * rowLength, rowLength);
            if (codePoint < row[0])
                high = middle - 1;
            else if (codePoint > row[1])
                low = middle + 1;
            else
                return row;
        }

        return [];
    }
}
