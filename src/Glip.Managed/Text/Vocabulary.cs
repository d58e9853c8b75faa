using System.Text;
using System.Text.Unicode;

namespace Glip.Managed.Text;

/// <summary>A WordPiece vocabulary: the tokens that a text encoder knows, numbered from 0. Immutable.</summary>
public sealed class Vocabulary
{
    private readonly string[] _tokens;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _ids;

    private Vocabulary(string[] tokens, Dictionary<string, int> ids, string origin)
    {
        _tokens = tokens;
        _ids = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        PadId = Required("[PAD]");
        UnknownId = Required("[UNK]");
        ClassId = Required("[CLS]");
        SeparatorId = Required("[SEP]");
        MaskId = TryGetId("[MASK]", out int mask) ? mask : null;
        LongestToken = tokens.Max(token => token.Length);

        int Required(string token) => TryGetId(token, out int id)
            ? id
            : throw new GlipFormatException($"{origin}: expected a WordPiece vocabulary, found no line {token} among {tokens.Length}");
    }

    /// <summary>Number of tokens.</summary>
    public int Count => _tokens.Length;

    /// <summary>Number of <c>[PAD]</c>.</summary>
    public int PadId { get; }

    /// <summary>Number of <c>[UNK]</c>, which stands for a word that the vocabulary cannot spell.</summary>
    public int UnknownId { get; }

    /// <summary>Number of <c>[CLS]</c>, which opens every sequence.</summary>
    public int ClassId { get; }

    /// <summary>Number of <c>[SEP]</c>, which closes every sequence.</summary>
    public int SeparatorId { get; }

    /// <summary>Number of <c>[MASK]</c>; null where the vocabulary has none.</summary>
    public int? MaskId { get; }

    /// <summary>Length of the longest token, in UTF-16 units.</summary>
    internal int LongestToken { get; }

    /// <summary>A token's text; <c>##</c> marks one that continues a word.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Not in 0…<see cref="Count"/> − 1.</exception>
    public string this[int id] => (uint)id < (uint)_tokens.Length
        ? _tokens[id]
        : throw new ArgumentOutOfRangeException(nameof(id), id, $"the vocabulary's tokens are 0..{_tokens.Length - 1}");

    /// <summary>Finds a token's number by its exact text. Allocates nothing.</summary>
    public bool TryGetId(ReadOnlySpan<char> token, out int id) => _ids.TryGetValue(token, out id);

    /// <summary>Reads a vocabulary: line i (from 0) is token i, as in BERT's <c>vocab.txt</c>.</summary>
    /// <param name="utf8">The file's bytes. Lines end in LF or CR LF; the last may lack its end.</param>
    /// <param name="origin">What to call it in errors, a path say.</param>
    /// <exception cref="GlipFormatException">Not UTF-8, an empty or repeated line, or one of <c>[PAD] [UNK] [CLS] [SEP]</c> missing.</exception>
    public static Vocabulary Parse(ReadOnlySpan<byte> utf8, string origin)
    {
        ArgumentNullException.ThrowIfNull(origin);
        if (!Utf8.IsValid(utf8))
            throw new GlipFormatException($"{origin}: expected a vocabulary in UTF-8, found bytes that are not");

        if (utf8.StartsWith("\uFEFF"u8)) // an editor's byte order mark is no part of the first token
            utf8 = utf8["\uFEFF"u8.Length..];
        if (utf8.EndsWith("\n"u8))
            utf8 = utf8[..^1];

        var tokens = new List<string>();
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (Range range in utf8.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = utf8[range];
            if (line.EndsWith("\r"u8))
                line = line[..^1];
            string token = Encoding.UTF8.GetString(line);
            int lineNumber = tokens.Count + 1;
            if (token.Length == 0)
                throw new GlipFormatException($"{origin}, line {lineNumber}: expected a token, found an empty line");
            if (!ids.TryAdd(token, tokens.Count))
                throw new GlipFormatException($"{origin}, line {lineNumber}: '{token}' stands on line {ids[token] + 1} already");
            tokens.Add(token);
        }

        return new Vocabulary([.. tokens], ids, origin);
    }
}
