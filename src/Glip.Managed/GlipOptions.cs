using System.Buffers;
using Glip.Kernels;
using Glip.Managed.Model.Fusion;

namespace Glip.Managed;

/// <summary>How a detector is set up. Fixed for its life.</summary>
public sealed record GlipOptions
{
    /// <summary>Instruction set by name (<c>auto, scalar, vector, v128, avx2, avx512, neon, portable</c>). A set that this machine lacks is an error, never replaced silently.</summary>
    public string Isa { get; init; } = "auto";

    /// <summary>
    /// True for results with the same bits on every processor, x64 and ARM64, with or without vectors: for the same picture, prompt and weights, every score and corner is the same
    /// number. Costs time (see docs/platforms.md). It is the instruction set <c>portable</c>; together with the name of another one it is an error.
    /// </summary>
    /// <remarks>Without it, results have the same bits for any number of threads on one instruction set, and agree to about five digits between sets.</remarks>
    public bool Deterministic { get; init; }

    /// <summary>Threads that one call may use, the caller's included; 1 starts no thread; 0 means one a processor.</summary>
    public int Threads { get; init; }

    /// <summary>
    /// True to keep half-size weights (f16, bf16) in single precision: twice the memory, the same results to the bit, and products of many rows a little faster.
    /// </summary>
    public bool WidenWeights { get; init; }

    /// <summary>Limit on activation memory of one call, in bytes. A picture that needs more is refused before any work.</summary>
    public long MaxWorkspaceBytes { get; init; } = long.MaxValue;

    /// <summary>
    /// Where activations go: memory outside the garbage collector's heap, large pages, or whatever the host keeps for such use. Null takes arrays of the pinned heap.
    /// One buffer for each call that runs at a time is rented, pinned and kept for further calls; when a call needs more it is disposed and a larger one rented, and
    /// all go back when the detector is disposed. The pool is the host's to dispose, after the detector. Worker threads' scratch memory does not come from it.
    /// A call for which the pool gives too little ends in an <see cref="InvalidOperationException"/>.
    /// </summary>
    public MemoryPool<float>? WorkspacePool { get; init; }

    /// <summary>
    /// Limit on what the detector keeps of the text encoder's results, in bytes, for prompts that come again: 3 KB a token for the published models, so that the
    /// default of 32 MiB holds more than ten thousand tokens, the 1,203 names of LVIS twice over. 0 keeps nothing.
    /// </summary>
    public long MaxTextCacheBytes { get; init; } = 32 << 20;

    /// <summary>The instruction set that <see cref="Isa"/> and <see cref="Deterministic"/> ask for.</summary>
    /// <exception cref="ArgumentException">An unknown name, or one that cannot be deterministic.</exception>
    internal SimdIsa Set
    {
        get
        {
            SimdIsa named = SimdIsas.Parse(Isa);
            if (!Deterministic)
                return named;
            return Isa == "auto" || named == SimdIsa.Portable
                ? SimdIsa.Portable
                : throw new ArgumentException($"{nameof(Deterministic)} computes with the instruction set '{SimdIsa.Portable.Name()}' on every machine: expected {nameof(Isa)} auto or that, found '{Isa}'");
        }
    }

    /// <summary>How fusion is computed: the detector chooses, tests compare.</summary>
    internal FusionOrder FusionOrder { get; init; }

    /// <summary>True to carry the padding of prompts through text encoder and fusion, as the original does, for tests: it changes nothing but the cost.</summary>
    internal bool KeepsPadding { get; init; }
}

/// <summary>How one call detects.</summary>
public sealed record DetectOptions
{
    /// <summary>Lowest score to report, 0…1 (strictly above); null takes the model's default.</summary>
    public float? Threshold { get; init; }

    /// <summary>Length that the shorter side is resized to; 0 keeps the size; null takes the model's default.</summary>
    public int? MinSize { get; init; }

    /// <summary>Cap on the longer side after resizing; 0 for none; null takes the model's default.</summary>
    public int? MaxSize { get; init; }

    /// <summary>Most detections of one picture, ties with the last aside; at least 1. Null takes the original's, 100.</summary>
    public int? MaxDetections { get; init; }

    /// <summary>
    /// True to read only as much of a prompt as the model takes at once and cut the rest, as the original does silently. False, the default, splits a list
    /// of phrases between phrases (see <see cref="GlipDetector.Detect(Imaging.ImageView, Text.Prompt, DetectOptions?, CancellationToken)"/>) and refuses what
    /// cannot be split: a sentence with given spans, or a single phrase that is too long.
    /// </summary>
    public bool AllowTruncatedPrompt { get; init; }

    /// <summary>True to report each token's probability (<see cref="Detection.TokenScores"/>).</summary>
    public bool TokenScores { get; init; }
}
