using System.Text;

namespace Glip.Managed.Text;

/// <summary>BERT's uncased WordPiece tokenizer. Safe to use from many threads.</summary>
/// <remarks>
/// Gives the same tokens and ranges as the tokenizer that GLIP was trained with. That one normalises the whole
/// text, cuts it into words and then spells them; here one pass does all three, character by character.
/// </remarks>
public sealed class WordPieceTokenizer
{
    private readonly (string Text, int Id)[] _specials;

    /// <summary>Creates a tokenizer.</summary>
    /// <param name="vocabulary">The text encoder's vocabulary.</param>
    public WordPieceTokenizer(Vocabulary vocabulary)
    {
        ArgumentNullException.ThrowIfNull(vocabulary);
        Vocabulary = vocabulary;
        int[] ids = [vocabulary.PadId, vocabulary.UnknownId, vocabulary.ClassId, vocabulary.SeparatorId];
        if (vocabulary.MaskId is { } mask)
            ids = [.. ids, mask];
        _specials = Array.ConvertAll(ids, id => (vocabulary[id], id));
    }

    /// <summary>The vocabulary that token numbers refer to.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>Tokenises a text of any length and content, as <c>[CLS] … [SEP]</c>.</summary>
    /// <param name="text">
    /// The text. Literal special tokens (<c>[MASK]</c> say, case-sensitive) become those tokens; unpaired surrogates are dropped.
    /// </param>
    public TokenizedText Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tokens = new List<Token> { new(Vocabulary.ClassId, Vocabulary[Vocabulary.ClassId], 0, 0) };
        var word = new Word(Vocabulary, tokens);
        Span<int> normalized = stackalloc int[BertCharacters.LongestNormalized];

        for (int unit = 0, character = 0; unit < text.Length;)
        {
            if (TryReadSpecial(text.AsSpan(unit), out var special))
            {
                word.Finish();
                tokens.Add(new Token(special.Id, special.Text, character, character + special.Text.Length));
                unit += special.Text.Length;
                character += special.Text.Length;
                continue;
            }

            // An unpaired surrogate decodes to U+FFFD, which the normaliser removes.
            _ = Rune.DecodeFromUtf16(text.AsSpan(unit), out Rune rune, out int used);
            int count = BertCharacters.Normalize(rune.Value, normalized);
            foreach (int codePoint in normalized[..count])
            {
                if (codePoint == ' ')
                {
                    word.Finish();
                }
                else if (BertCharacters.IsPunctuation(codePoint))
                {
                    word.Finish();
                    word.Append(codePoint, character);
                    word.Finish();
                }
                else
                {
                    word.Append(codePoint, character);
                }
            }

            unit += used;
            character++;
        }

        word.Finish();
        tokens.Add(new Token(Vocabulary.SeparatorId, Vocabulary[Vocabulary.SeparatorId], 0, 0));
        return new TokenizedText(text, [.. tokens]);
    }

    private bool TryReadSpecial(ReadOnlySpan<char> text, out (string Text, int Id) special)
    {
        special = default;
        if (text[0] != '[')
            return false;
        foreach (var candidate in _specials)
        {
            if (text.StartsWith(candidate.Text, StringComparison.Ordinal))
            {
                special = candidate;
                return true;
            }
        }

        return false;
    }

    /// <summary>The word under construction, which <see cref="Finish"/> spells with the vocabulary's pieces.</summary>
    private sealed class Word(Vocabulary vocabulary, List<Token> tokens)
    {
        /// <summary>A word of more code points than this is unknown as a whole.</summary>
        private const int Longest = 100;

        private const string ContinuationPrefix = "##";

        // Unit i of the word lies at i + 2, so that a prefix fits in front of any of them.
        private readonly char[] _units = new char[ContinuationPrefix.Length + 2 * Longest];
        private readonly int[] _characters = new int[2 * Longest];
        private int _length;
        private int _codePoints;
        private int _begin;
        private int _end;

        /// <summary>Adds a code point that comes from the given character of the text.</summary>
        public void Append(int codePoint, int character)
        {
            if (_codePoints == 0)
                _begin = character;
            _end = character + 1;
            if (++_codePoints > Longest)
                return;

            int used = new Rune(codePoint).EncodeToUtf16(_units.AsSpan(ContinuationPrefix.Length + _length));
            _characters.AsSpan(_length, used).Fill(character);
            _length += used;
        }

        /// <summary>Adds the word's tokens, if there is a word, and starts the next.</summary>
        public void Finish()
        {
            if (_codePoints > 0 && (_codePoints > Longest || !TrySpell()))
                tokens.Add(new Token(vocabulary.UnknownId, vocabulary[vocabulary.UnknownId], _begin, _end));
            _length = 0;
            _codePoints = 0;
        }

        /// <summary>Greedy longest match first; adds nothing if a part of the word cannot be spelled.</summary>
        private bool TrySpell()
        {
            int first = tokens.Count;
            for (int begin = 0; begin < _length;)
            {
                int pieceStart = ContinuationPrefix.Length + begin;
                if (begin > 0)
                {
                    // Overwrites units that are spelled already.
                    pieceStart -= ContinuationPrefix.Length;
                    ContinuationPrefix.CopyTo(_units.AsSpan(pieceStart));
                }

                // No token ends inside a surrogate pair, so trying every unit as an end is trying every code point.
                int end = Math.Min(_length, begin + vocabulary.LongestToken);
                int id = 0;
                while (end > begin && !vocabulary.TryGetId(_units.AsSpan(pieceStart..(ContinuationPrefix.Length + end)), out id))
                    end--;
                if (end == begin)
                {
                    tokens.RemoveRange(first, tokens.Count - first);
                    return false;
                }

                tokens.Add(new Token(id, vocabulary[id], _characters[begin], _characters[end - 1] + 1));
                begin = end;
            }

            return true;
        }
    }
}
