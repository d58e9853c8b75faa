using Glip.Kernels;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Memory;
using Glip.Managed.Model;
using Glip.Managed.Postprocessing;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Managed;

/// <summary>All that one call at a time needs besides the weights: memory, the plan that it was made for, and the last prompt's tokens.</summary>
internal sealed class DetectorSession
{
    private readonly GlipModel _model;
    private readonly WordPieceTokenizer _tokenizer;
    private readonly AtssPostProcessor _postProcessor;
    private readonly long _maxWorkspaceBytes;
    private readonly ForwardPass _pass;
    private readonly SimdIsa _isa;
    private readonly WorkerPool _pool;
    private readonly AtssScratch _scratch = new();
    private EncodedPrompt? _prompt;
    private float[] _rows = []; // of the prompt, see GlipModel.Forward
    private Plan? _plan;

    public DetectorSession(
        GlipModel model, WordPieceTokenizer tokenizer, AtssPostProcessor postProcessor, SimdIsa isa, WorkerPool pool, long maxWorkspaceBytes)
    {
        _model = model;
        _tokenizer = tokenizer;
        _postProcessor = postProcessor;
        _isa = isa;
        _pool = pool;
        _maxWorkspaceBytes = maxWorkspaceBytes;
        _pass = new ForwardPass(new KernelContext(isa, pool), Workspace.Create());
    }

    /// <summary>Activations of the call, and what calls so far needed.</summary>
    public Workspace Workspace => _pass.Workspace;

    /// <summary>Memory that is kept for the next call, in bytes.</summary>
    public long ReservedBytes => (_pass.Workspace.Capacity + _pass.Kernels.ScratchFloats) * sizeof(float);

    /// <summary>Options that leave everything to the model.</summary>
    public static DetectOptions DefaultOptions { get; } = new();

    /// <summary>Takes the session for a call.</summary>
    public void Begin(CancellationToken cancellationToken) => _pass.CancellationToken = cancellationToken;

    /// <summary>Leaves it ready for the next one, however the call ended.</summary>
    public void End()
    {
        _pass.Workspace.Reset();
        _pass.Trace = null;
        _pass.Profile = null;
        _pass.CancellationToken = default;
    }

    /// <summary>Books what each part of the next call costs.</summary>
    public StageProfile StartProfile()
    {
        // What earlier calls needed is none of this one's cost.
        _pass.Workspace.TakeRecentPeakFloats();
        return _pass.Profile = new StageProfile(_pass.Kernels.MultiplyAdds);
    }

    /// <summary>See <see cref="GlipDetector.Detect"/>.</summary>
    public IReadOnlyList<Detection> Detect(ImageView image, Prompt prompt, DetectOptions options)
    {
        float threshold = options.Threshold ?? _model.Config.DefaultThreshold;
        if (!(threshold is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(options), threshold, "the threshold must be 0..1");
        EncodedPrompt encoded = Encode(prompt, options);
        ImageGeometry geometry = Geometry(image.Height, image.Width, options);
        Prepare(geometry, encoded.Ids.Length);

        Pyramid pyramid = _plan!.Pyramid;
        int tokens = encoded.Ids.Length;
        using WorkspaceBuffer boxes = _pass.Rent(pyramid.Cells, 4);
        using WorkspaceBuffer centerness = _pass.Rent(pyramid.Cells);
        using WorkspaceBuffer logits = _pass.Rent(pyramid.Cells, tokens);
        using (WorkspaceBuffer input = _pass.Rent(geometry.InputLength))
        {
            ImagePreprocessor.Prepare(image, geometry, input);
            _pass.Mark("image");
            _model.Forward(_pass, input, Padded(geometry), encoded.Ids.Span, pyramid, boxes, centerness, logits, _rows);
        }

        ReadOnlySpan<Candidate> candidates = Select(geometry, encoded, pyramid, boxes, centerness, logits, null, null);
        _pass.Mark("selection");
        int count = 0;
        while (count < candidates.Length && candidates[count].Score > threshold)
            count++;
        if (count == 0)
            return [];
        var detections = new Detection[count];
        for (int i = 0; i < count; i++)
        {
            Candidate found = candidates[i];
            detections[i] = new Detection(found.Box, found.Score, found.Label, prompt.Phrases[found.Label - 1])
            {
                TokenScores = options.TokenScores ? TokenScores(found, encoded, pyramid, logits) : [],
            };
        }

        return detections;
    }

    /// <summary>See <see cref="GlipDetector.Trace"/>.</summary>
    public void Trace(ImageView image, Prompt prompt, DetectOptions options, float? inferenceThreshold, StageTrace trace)
    {
        EncodedPrompt encoded = Encode(prompt, options);
        ImageGeometry geometry = Geometry(image.Height, image.Width, options);
        Prepare(geometry, encoded.Ids.Length);
        _pass.Trace = trace;

        Pyramid pyramid = _plan!.Pyramid;
        int tokens = encoded.Ids.Length;
        var resized = new byte[geometry.ResizedLength];
        using WorkspaceBuffer boxes = _pass.Rent(pyramid.Cells, 4);
        using WorkspaceBuffer centerness = _pass.Rent(pyramid.Cells);
        using WorkspaceBuffer logits = _pass.Rent(pyramid.Cells, tokens);
        using (WorkspaceBuffer input = _pass.Rent(geometry.InputLength))
        {
            ImagePreprocessor.Resize(image, geometry, resized);
            trace.Add("pre.resized_u8", resized, [geometry.Height, geometry.Width, ImagePreprocessor.Channels]);
            ImagePreprocessor.Normalize(resized, geometry, input);
            trace.Map("pre.input", input, geometry.PaddedHeight, geometry.PaddedWidth, ImagePreprocessor.Channels);
            TraceText(trace, encoded);
            _model.Forward(_pass, input, Padded(geometry), encoded.Ids.Span, pyramid, boxes, centerness, logits, _rows);
        }

        TraceAnchors(trace, pyramid);
        var selection = new AtssTrace();
        ReadOnlySpan<Candidate> final = Select(geometry, encoded, pyramid, boxes, centerness, logits, inferenceThreshold, selection);
        TraceCandidates(trace, "det.prenms.boxes", "det.prenms.scores", "det.prenms.labels", selection.PreNms);
        TraceCandidates(trace, "det.boxes_resized_image", "det.scores", "det.labels", selection.Selected);
        TraceCandidates(trace, "final.boxes", "final.scores", "final.labels", final.ToArray());
    }

    /// <summary>See <see cref="GlipDetector.WorkspaceBytes"/>.</summary>
    public long PlanBytes(int height, int width, Prompt prompt, DetectOptions options)
    {
        EncodedPrompt encoded = Encode(prompt, options);
        return MakePlan(Geometry(height, width, options), encoded.Ids.Length).Bytes;
    }

    private static MapSize Padded(in ImageGeometry geometry) => new(geometry.PaddedHeight, geometry.PaddedWidth);

    private EncodedPrompt Encode(Prompt prompt, DetectOptions options)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        if (!ReferenceEquals(_prompt?.Prompt, prompt))
        {
            EncodedPrompt encoded = EncodedPrompt.Encode(prompt, _tokenizer, _model.Config.MaxQueryLength);
            _rows = FindRows(encoded);
            _prompt = encoded;
        }

        if (_prompt.TruncatedLabels.Count > 0 && !options.AllowTruncatedPrompt)
            throw Truncated(prompt, _prompt);
        return _prompt;
    }

    /// <summary>What tuning adds to the text, or what stands for the text encoder's output; empty if the encoder does all.</summary>
    private float[] FindRows(EncodedPrompt encoded)
    {
        PromptRows? tuning = encoded.Prompt.Tuning;
        ReadOnlySpan<int> ids = encoded.Ids.Span;
        if (_model.StoredPrompts is not { } stored)
        {
            if (tuning is null)
                return [];
            if (tuning.Width == _model.Config.Bert.HiddenSize && ids.SequenceEqual(tuning.TokenIds))
                return tuning.Values;
            throw new ArgumentException(
                $"the prompt was tuned for another model: it has {tuning.TokenIds.Length} tokens of {tuning.Width} numbers, this model reads it as "
                + $"{ids.Length} of {_model.Config.Bert.HiddenSize}, or as other tokens",
                "prompt");
        }

        if (tuning is not null)
            throw new ArgumentException("this model has no text encoder, which a tuned prompt adds to; store the prompt in the model instead (glip-weights convert --strip-text)", "prompt");
        foreach (PromptRows prompt in stored)
        {
            if (ids.SequenceEqual(prompt.TokenIds))
                return prompt.Values;
        }

        const int Shown = 3;
        string captions = string.Join(", ", stored.Take(Shown).Select(p => DisplayText.Quote(p.Caption))) + (stored.Count > Shown ? ", …" : "");
        throw new ArgumentException(
            $"this model has no text encoder and serves only the {stored.Count} prompts that are stored in it ({captions}), not {DisplayText.Quote(encoded.Prompt.Caption)}", "prompt");
    }

    // Apart from its caller, whose every call would allocate this closure.
    private ArgumentException Truncated(Prompt prompt, EncodedPrompt encoded)
    {
        string phrases = string.Join(", ", encoded.TruncatedLabels.Take(3).Select(label => $"'{prompt.Phrases[label - 1].Text}'"));
        return new ArgumentException(
            $"the prompt has {encoded.UntruncatedCount} tokens, this model reads {_model.Config.MaxQueryLength}: {encoded.TruncatedLabels.Count} of "
            + $"{prompt.Phrases.Count} phrases would be cut, from {phrases} on; split the phrases over several calls, or set "
            + $"{nameof(DetectOptions)}.{nameof(DetectOptions.AllowTruncatedPrompt)} to go on without them",
            nameof(prompt));
    }

    private ImageGeometry Geometry(int height, int width, DetectOptions options)
    {
        int min = options.MinSize ?? _model.Config.Input.MinSize, max = options.MaxSize ?? _model.Config.Input.MaxSize;
        if (min < 0 || max < 0)
            throw new ArgumentOutOfRangeException(nameof(options), Math.Min(min, max), "sizes must not be negative");
        return ImageGeometry.Plan(height, width, min, max, _model.Config.SizeDivisibility);
    }

    /// <summary>Makes sure that the memory fits this call, before any work.</summary>
    private void Prepare(in ImageGeometry geometry, int tokens)
    {
        if (_plan is null || _plan.Image != Padded(geometry) || _plan.Tokens != tokens)
            _plan = MakePlan(geometry, tokens);
        if (Math.Max(_plan.WorkspaceFloats, _plan.ScratchFloats) > Workspace.MaxFloats)
            throw TooLarge(geometry, tokens);
        if (_plan.Bytes > _maxWorkspaceBytes)
        {
            throw new ArgumentException(
                $"a {geometry.Width}x{geometry.Height} input with {tokens} tokens needs {_plan.Bytes} bytes of workspace, "
                + $"{nameof(GlipOptions)}.{nameof(GlipOptions.MaxWorkspaceBytes)} allows {_maxWorkspaceBytes}; choose a smaller size");
        }

        _pass.Workspace.Reserve(_plan.WorkspaceFloats);
        _pass.Kernels.ReserveScratch(_plan.ScratchFloats);
    }

    /// <summary>Runs the forward pass without memory and without arithmetic, to learn what it needs.</summary>
    private Plan MakePlan(in ImageGeometry geometry, int tokens)
    {
        MapSize image = Padded(geometry);
        var p3 = new MapSize(image.Height / _model.Config.FirstStride, image.Width / _model.Config.FirstStride);
        var pyramid = new Pyramid(p3, _model.Config.Levels);
        var pass = new ForwardPass(new KernelContext(_isa, _pool, planning: true), Workspace.CreatePlanning());
        try
        {
            using WorkspaceBuffer boxes = pass.Rent(pyramid.Cells, 4);
            using WorkspaceBuffer centerness = pass.Rent(pyramid.Cells);
            using WorkspaceBuffer logits = pass.Rent(pyramid.Cells, tokens);
            using WorkspaceBuffer input = pass.Rent(geometry.InputLength);
            _model.Forward(pass, input, image, new int[tokens], pyramid, boxes, centerness, logits);
        }
        catch (OverflowException)
        {
            throw TooLarge(geometry, tokens); // a single buffer would be longer than a span
        }

        return new Plan(image, tokens, pyramid, pass.Workspace.PeakFloats, pass.Kernels.ScratchFloats);
    }

    private static ArgumentException TooLarge(in ImageGeometry geometry, int tokens) => new(
        $"a {geometry.Width}x{geometry.Height} input with {tokens} tokens needs more than {Workspace.MaxFloats * sizeof(float)} bytes of workspace, "
        + "which is more than an array can hold; choose a smaller size");

    private ReadOnlySpan<Candidate> Select(
        in ImageGeometry geometry, EncodedPrompt prompt, Pyramid pyramid, ReadOnlySpan<float> boxes, ReadOnlySpan<float> centerness, ReadOnlySpan<float> logits,
        float? inferenceThreshold, AtssTrace? trace)
    {
        int tokens = prompt.Ids.Length;
        _postProcessor.Begin(_scratch, prompt.PositiveMap.AllTokens, geometry.Height, geometry.Width, inferenceThreshold);
        for (int level = 0; level < pyramid.Levels; level++)
        {
            _postProcessor.AddLevel(_scratch, new AtssLevel
            {
                Height = pyramid[level].Height,
                Width = pyramid[level].Width,
                Stride = _model.Config.FirstStride << level,
                BoxDeltas = pyramid.Level(boxes, level, 4),
                Centerness = pyramid.Level(centerness, level, 1),
                Logits = pyramid.Level(logits, level, tokens),
                Tokens = tokens,
                LogitStride = tokens,
            });
        }

        return _postProcessor.Select(_scratch, geometry.SourceHeight, geometry.SourceWidth, trace);
    }

    private static TokenScore[] TokenScores(in Candidate found, EncodedPrompt prompt, Pyramid pyramid, ReadOnlySpan<float> logits)
    {
        int tokens = prompt.Ids.Length;
        ReadOnlySpan<float> row = pyramid.Level(logits, found.Level, tokens).Slice(found.Cell * tokens, tokens);
        ReadOnlySpan<int> positions = prompt.PositiveMap.TokensOf(found.Label);
        var scores = new TokenScore[positions.Length];
        for (int i = 0; i < scores.Length; i++)
            scores[i] = new TokenScore(prompt.Tokens[positions[i]].Text, positions[i], 1 / (1 + MathF.Exp(-row[positions[i]])));
        return scores;
    }

    private void TraceText(StageTrace trace, EncodedPrompt prompt)
    {
        // The original pads to the full length; ids and mask are recorded so, floats only for real tokens.
        int length = _model.Config.MaxQueryLength;
        var ids = new long[length];
        var mask = new long[length];
        Array.Fill(ids, _tokenizer.Vocabulary.PadId);
        for (int i = 0; i < prompt.Ids.Length; i++)
        {
            ids[i] = prompt.Ids.Span[i];
            mask[i] = 1;
        }

        trace.Add("text.input_ids", ids, [1, length]);
        trace.Add("text.attention_mask", mask, [1, length]);
        trace.Add("lang.masks", mask, [1, length]);
    }

    private void TraceAnchors(StageTrace trace, Pyramid pyramid)
    {
        for (int level = 0; level < pyramid.Levels; level++)
        {
            MapSize size = pyramid[level];
            var anchors = new float[size.Cells * 4];
            for (int cell = 0; cell < size.Cells; cell++)
            {
                Box box = AnchorGenerator.At(_model.Config.AnchorScale, _model.Config.FirstStride << level, cell / size.Width, cell % size.Width);
                (anchors[4 * cell], anchors[(4 * cell) + 1], anchors[(4 * cell) + 2], anchors[(4 * cell) + 3]) = (box.X1, box.Y1, box.X2, box.Y2);
            }

            trace.Add($"anchors.{Pyramid.Name(level)}", anchors, [size.Cells, 4]);
        }
    }

    private static void TraceCandidates(StageTrace trace, string boxesName, string scoresName, string labelsName, IReadOnlyList<Candidate> candidates)
    {
        float[] boxes = [.. candidates.SelectMany(c => new[] { c.Box.X1, c.Box.Y1, c.Box.X2, c.Box.Y2 })];
        float[] scores = [.. candidates.Select(c => c.Score)];
        long[] labels = [.. candidates.Select(c => (long)c.Label)];
        trace.Add(boxesName, boxes, [candidates.Count, 4]);
        trace.Add(scoresName, scores, [candidates.Count]);
        trace.Add(labelsName, labels, [candidates.Count]);
    }

    /// <summary>Memory of one image size and prompt length.</summary>
    private sealed record Plan(MapSize Image, int Tokens, Pyramid Pyramid, long WorkspaceFloats, long ScratchFloats)
    {
        public long Bytes => (WorkspaceFloats + ScratchFloats) * sizeof(float);
    }
}
