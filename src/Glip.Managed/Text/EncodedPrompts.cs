using System.Runtime.CompilerServices;

namespace Glip.Managed.Text;

/// <summary>Encodes prompts for one model, each once for as long as it lives. Safe to use from many threads.</summary>
internal sealed class EncodedPrompts
{
    private readonly ConditionalWeakTable<Prompt, PromptChunks> _split = [];
    private readonly ConditionalWeakTable<Prompt, PromptChunks> _whole = [];
    private readonly ConditionalWeakTable<Prompt, PromptChunks>.CreateValueCallback _makeSplit;
    private readonly ConditionalWeakTable<Prompt, PromptChunks>.CreateValueCallback _makeWhole;

    /// <summary>For a model's tokenizer and its limit on tokens.</summary>
    public EncodedPrompts(WordPieceTokenizer tokenizer, int maxQueryLength)
    {
        Tokenizer = tokenizer;

        // Kept, so that a prompt that is known costs no delegate.
        _makeSplit = prompt => PromptChunks.Split(prompt, tokenizer, maxQueryLength);
        _makeWhole = prompt => PromptChunks.Whole(prompt, tokenizer, maxQueryLength);
    }

    /// <summary>The tokenizer.</summary>
    public WordPieceTokenizer Tokenizer { get; }

    /// <summary>See <see cref="PromptChunks.Split"/>.</summary>
    public PromptChunks Split(Prompt prompt) => _split.GetValue(prompt, _makeSplit);

    /// <summary>See <see cref="PromptChunks.Whole"/>.</summary>
    public PromptChunks Whole(Prompt prompt) => _whole.GetValue(prompt, _makeWhole);
}
