namespace Glip.Managed.Postprocessing;

/// <summary>
/// One call's state and buffers. Buffers only grow and are reused, so a second call of the same size allocates its results alone.
/// Belongs to one call at a time.
/// </summary>
internal sealed class AtssScratch
{
    private int[] _starts = new int[1];
    private int[] _positions = [];
    private Candidate[] _candidates = [];
    private int[] _kept = [];
    private int _labels;
    private int _count;

    /// <summary>Height of the resized image without its padding, in pixels.</summary>
    public int ImageHeight { get; private set; }

    /// <summary>Width of the resized image without its padding, in pixels.</summary>
    public int ImageWidth { get; private set; }

    /// <summary>Class probability that a candidate must exceed.</summary>
    public float InferenceThreshold { get; private set; }

    /// <summary>Detections that are kept, ties aside.</summary>
    public int DetectionsPerImage { get; private set; }

    /// <summary>Levels added so far.</summary>
    public int Levels { get; internal set; }

    /// <summary>Labels of the prompt.</summary>
    public int Labels => _labels;

    /// <summary>One more than the last token position that a label uses; 0 if none has tokens.</summary>
    public int TokensNeeded { get; private set; }

    /// <summary>The best of the level at hand.</summary>
    public TopRanked Best { get; } = new();

    /// <summary>Candidates of all levels added so far.</summary>
    public Span<Candidate> Candidates => _candidates.AsSpan(0, _count);

    /// <summary>Room for an index a candidate.</summary>
    public Span<int> Kept
    {
        get
        {
            if (_kept.Length < _count)
                _kept = new int[_candidates.Length];
            return _kept.AsSpan(0, _count);
        }
    }

    /// <summary>Token positions of label <paramref name="label"/>, counted from 0 here.</summary>
    public ReadOnlySpan<int> TokensOf(int label) => _positions.AsSpan(_starts[label], _starts[label + 1] - _starts[label]);

    /// <summary>Starts a call: forgets the last one's candidates and copies the label map into one flat array.</summary>
    public void Reset(IReadOnlyList<int[]> labelTokens, int imageHeight, int imageWidth, float inferenceThreshold, int detectionsPerImage)
    {
        ImageHeight = imageHeight;
        ImageWidth = imageWidth;
        InferenceThreshold = inferenceThreshold;
        DetectionsPerImage = detectionsPerImage;
        Levels = 0;
        TokensNeeded = 0;
        _count = 0;
        _labels = labelTokens.Count;
        if (_starts.Length <= _labels)
            _starts = new int[_labels + 1];

        int end = 0;
        for (int label = 0; label < _labels; label++)
        {
            int[] tokens = labelTokens[label];
            if (_positions.Length < end + tokens.Length)
                Array.Resize(ref _positions, Math.Max(end + tokens.Length, 2 * _positions.Length));
            foreach (int token in tokens)
            {
                if (token < 0)
                    throw new ArgumentException($"Label {label + 1}: expected token positions from 0, found {token}", nameof(labelTokens));
                TokensNeeded = Math.Max(TokensNeeded, token + 1);
                _positions[end++] = token;
            }

            _starts[label + 1] = end;
        }
    }

    /// <summary>Makes room for more candidates, so that <see cref="Add"/> does not grow step by step.</summary>
    public void Reserve(int more)
    {
        if (_candidates.Length < _count + more)
            Array.Resize(ref _candidates, Math.Max(_count + more, 2 * _candidates.Length));
    }

    /// <summary>Appends a candidate; there must be room.</summary>
    public void Add(in Candidate candidate) => _candidates[_count++] = candidate;
}
