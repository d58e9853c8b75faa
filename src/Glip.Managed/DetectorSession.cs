using System.Runtime.InteropServices;
using Glip.Kernels;
using Glip.Managed.Diagnostics;
using Glip.Managed.Imaging;
using Glip.Managed.Memory;
using Glip.Managed.Model;
using Glip.Managed.Model.Head;
using Glip.Managed.Postprocessing;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Managed;

/// <summary>All that one call at a time needs besides the weights: memory, and the plans that it was made for.</summary>
internal sealed class DetectorSession : IDisposable
{
    private readonly GlipModel _model;
    private readonly EncodedPrompts _prompts;
    private readonly TextCache _texts;
    private readonly AtssPostProcessor _postProcessor;
    private readonly long _maxWorkspaceBytes;
    private readonly bool _keepsPadding;
    private readonly ForwardPass _pass;
    private readonly SimdIsa _isa;
    private readonly WorkerPool _pool;
    private readonly AtssScratch _scratch = new();
    private readonly List<float[]> _rows = []; // of the prompt's chunks, see FindRows
    private readonly List<Found> _found = [];
    private float[] _tokenLogits = []; // of the last chunk's candidates, [candidates, U], if they were asked for
    private readonly Plan?[] _plans = new Plan?[(int)Work.Both + 1];

    public DetectorSession(
        GlipModel model, EncodedPrompts prompts, TextCache texts, AtssPostProcessor postProcessor, SimdIsa isa, WorkerPool pool, GlipOptions options)
    {
        _model = model;
        _prompts = prompts;
        _texts = texts;
        _postProcessor = postProcessor;
        _isa = isa;
        _pool = pool;
        _maxWorkspaceBytes = options.MaxWorkspaceBytes;
        _keepsPadding = options.KeepsPadding;
        _pass = new ForwardPass(new KernelContext(isa, pool), Workspace.Create(options.WorkspacePool));
    }

    /// <summary>What a call does: the image's side, the prompt's, or both.</summary>
    [Flags]
    private enum Work
    {
        Image = 1,
        Prompt = 2,
        Both = Image | Prompt,
    }

    /// <summary>Activations of the call, and what calls so far needed.</summary>
    public Workspace Workspace => _pass.Workspace;

    /// <summary>Memory that is kept for the next call, in bytes.</summary>
    public long ReservedBytes => (_pass.Workspace.Capacity + _pass.Kernels.ScratchFloats) * sizeof(float);

    /// <summary>Options that leave everything to the model.</summary>
    public static DetectOptions DefaultOptions { get; } = new();

    /// <summary>Takes the session for a call.</summary>
    public void Begin(CancellationToken cancellationToken) => _pass.Kernels.CancellationToken = cancellationToken;

    /// <summary>Leaves it ready for the next one, however the call ended.</summary>
    public void End()
    {
        _pass.Workspace.Reset();
        _rows.Clear();
        _found.Clear();
        _tokenLogits = [];
        _pass.Trace = null;
        _pass.Profile = null;
        _pass.Kernels.CancellationToken = default;
    }

    /// <summary>Gives the workspace back. The session is not used any more.</summary>
    public void Dispose() => _pass.Workspace.Dispose();

    /// <summary>Books what each part of the next call costs.</summary>
    public StageProfile StartProfile()
    {
        // What earlier calls needed is none of this one's cost.
        _pass.Workspace.TakeRecentPeakFloats();
        return _pass.Profile = new StageProfile(_pass.Kernels.MultiplyAdds);
    }

    /// <summary>See <see cref="GlipDetector.Detect(ImageView, Prompt, DetectOptions?, CancellationToken)"/>.</summary>
    public IReadOnlyList<Detection> Detect(ImageView image, Prompt prompt, DetectOptions options)
    {
        PromptChunks chunks = Chunks(prompt, options);
        ImageGeometry geometry = Geometry(image.Height, image.Width, options);
        Plan plan = Prepare(geometry, Work.Both, chunks);
        using WorkspaceBuffer visual = _pass.Rent(plan.Pyramid.Cells, _model.Config.Channels);
        EncodeImage(_pass, image, geometry, plan.Pyramid, visual);
        return Find(geometry, plan, visual, chunks, options);
    }

    /// <summary>See <see cref="GlipDetector.Encode"/>.</summary>
    public ImageFeatures Encode(ImageView image, DetectOptions options)
    {
        ImageGeometry geometry = Geometry(image.Height, image.Width, options);
        Plan plan = Prepare(geometry, Work.Image, null);
        var features = new ImageFeatures(_model, geometry, plan.Pyramid);
        EncodeImage(_pass, image, geometry, plan.Pyramid, features.Values);
        return features;
    }

    /// <summary>See <see cref="GlipDetector.Detect(ImageFeatures, Prompt, DetectOptions?, CancellationToken)"/>.</summary>
    public IReadOnlyList<Detection> Detect(ImageFeatures features, Prompt prompt, DetectOptions options)
    {
        ArgumentNullException.ThrowIfNull(features);
        if (!ReferenceEquals(features.Model, _model))
            throw new ArgumentException("the features were made by another detector; features and detections must be one detector's", nameof(features));
        float[] visual = features.Values;
        PromptChunks chunks = Chunks(prompt, options);
        return Find(features.Geometry, Prepare(features.Geometry, Work.Prompt, chunks), visual, chunks, options);
    }

    /// <summary>See <see cref="GlipDetector.Trace"/>.</summary>
    public void Trace(ImageView image, Prompt prompt, DetectOptions options, float? inferenceThreshold, StageTrace trace)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        PromptChunks chunks = _prompts.Whole(prompt);
        EncodedPrompt encoded = chunks.All[0].Encoded;
        if (chunks.CutLabels > 0 && !options.AllowTruncatedPrompt)
            throw Truncated(prompt, encoded);
        float[] rows = FindRows(encoded);
        ImageGeometry geometry = Geometry(image.Height, image.Width, options);
        Plan plan = Prepare(geometry, Work.Both, chunks);
        _pass.Trace = trace;

        Pyramid pyramid = plan.Pyramid;
        using WorkspaceBuffer visual = _pass.Rent(pyramid.Cells, _model.Config.Channels);
        EncodeImage(_pass, image, geometry, pyramid, visual);
        TraceText(trace, encoded);
        using WorkspaceBuffer boxes = _pass.Rent(pyramid.Cells, 4);
        using WorkspaceBuffer centerness = _pass.Rent(pyramid.Cells);
        var selection = new AtssTrace();
        var call = new Call(geometry, pyramid, plan.KeepsVisual, Limit(options), inferenceThreshold, selection, TokenScores: false);
        ReadOnlySpan<Candidate> final = FindChunk(_pass, call, new ChunkText(encoded, rows), visual, isFirst: true, boxes, centerness);
        TraceCandidates(trace, "det.prenms.boxes", "det.prenms.scores", "det.prenms.labels", selection.PreNms);
        TraceCandidates(trace, "det.boxes_resized_image", "det.scores", "det.labels", selection.Selected);
        TraceCandidates(trace, "final.boxes", "final.scores", "final.labels", final.ToArray());
    }

    /// <summary>See <see cref="GlipDetector.WorkspaceBytes"/>.</summary>
    public long PlanBytes(int height, int width, Prompt prompt, DetectOptions options)
    {
        PromptChunks chunks = Chunks(prompt, options);
        return MakePlan(Geometry(height, width, options), Work.Both, KeepsVisual(Work.Both, chunks), chunks.Sizes).Bytes;
    }

    private static MapSize Padded(in ImageGeometry geometry) => new(geometry.PaddedHeight, geometry.PaddedWidth);

    /// <summary>From pixels to what no prompt changes.</summary>
    private void EncodeImage(ForwardPass pass, ImageView image, in ImageGeometry geometry, Pyramid pyramid, Span<float> visual)
    {
        using WorkspaceBuffer input = pass.Rent(geometry.InputLength);
        if (pass.Trace is { } trace)
        {
            var resized = new byte[geometry.ResizedLength];
            ImagePreprocessor.Resize(image, geometry, resized);
            trace.Add("pre.resized_u8", resized, [geometry.Height, geometry.Width, ImagePreprocessor.Channels]);
            ImagePreprocessor.Normalize(resized, geometry, input);
            trace.Map("pre.input", input, geometry.PaddedHeight, geometry.PaddedWidth, ImagePreprocessor.Channels);
        }
        else if (!pass.IsPlanning)
        {
            ImagePreprocessor.Prepare(image, geometry, input);
        }

        pass.Mark("image");
        _model.EncodeImage(pass, input, Padded(geometry), pyramid, visual);
    }

    /// <summary>Candidates of one chunk of a prompt, best first; they lie in the scratch memory until the next chunk.</summary>
    /// <param name="pass">How, and where activations go.</param>
    /// <param name="call">What is the same for all chunks.</param>
    /// <param name="text">The chunk.</param>
    /// <param name="visual">[A, C] of <see cref="EncodeImage"/>.</param>
    /// <param name="isFirst">True for the call's first chunk. Without deep fusion boxes and centerness are every chunk's.</param>
    /// <param name="boxes">[A, 4].</param>
    /// <param name="centerness">[A].</param>
    private ReadOnlySpan<Candidate> FindChunk(
        ForwardPass pass, in Call call, in ChunkText text, Span<float> visual, bool isFirst, Span<float> boxes, Span<float> centerness)
    {
        Pyramid pyramid = call.Pyramid;
        int real = text.Ids.Length;
        ReadOnlyMemory<int> ids = _keepsPadding ? Padded(text.Ids) : text.Ids;
        int tokens = ids.Length;
        using WorkspaceBuffer hidden = pass.Rent(tokens, _model.Config.Bert.HiddenSize);
        EncodeText(pass, ids, real, text.Rows, hidden);

        // Another chunk or call may need the visual side; else fusion works in it.
        bool copies = call.KeepsVisual && _model.FusesText;
        using WorkspaceBuffer copy = pass.Rent(copies ? pyramid.Cells : 0, _model.Config.Channels);
        Span<float> fused = copies ? copy : visual;
        if (copies && !pass.IsPlanning)
            visual.CopyTo(fused);
        if (_model.FusesText)
            _model.Fuse(pass, fused, pyramid, hidden, tokens, real);
        if (_model.FusesText || isFirst)
            _model.Boxes(pass, fused, pyramid, boxes, centerness);
        if (pass.Trace is { } trace)
        {
            TraceHead(trace, pyramid, fused, hidden, real);
            TraceAnchors(trace, pyramid);
        }

        return Select(pass, call, text, fused, hidden, boxes, centerness);
    }

    /// <summary>
    /// From what the tower made to candidates: logits of the tokens that speak for labels, for some cells at a time, so that never all are in memory.
    /// </summary>
    private ReadOnlySpan<Candidate> Select(
        ForwardPass pass, in Call call, in ChunkText text, ReadOnlySpan<float> visual, ReadOnlySpan<float> hidden, ReadOnlySpan<float> boxes, ReadOnlySpan<float> centerness)
    {
        const int CellsAtATime = 2048;
        Pyramid pyramid = call.Pyramid;
        GroundingHead head = _model.Head;
        int channels = _model.Config.Channels, scored = text.Scored.Length, block = Math.Min(CellsAtATime, pyramid[0].Cells);
        using WorkspaceBuffer queries = pass.Rent(scored, channels);
        using WorkspaceBuffer bias = pass.Rent(scored);
        using WorkspaceBuffer pack = pass.Rent(head.PackFloats(pass.Kernels, scored));
        using WorkspaceBuffer logits = pass.Rent(block, scored);
        head.Queries(pass, hidden, text.Scored, queries, bias);
        if (!pass.IsPlanning)
            _postProcessor.Begin(_scratch, text.Labels, call.Geometry.Height, call.Geometry.Width, call.InferenceThreshold, call.Limit);
        for (int l = 0; l < pyramid.Levels; l++)
        {
            ReadOnlySpan<float> cells = pyramid.Level(visual, l, channels);
            var level = new AtssLevel
            {
                Height = pyramid[l].Height,
                Width = pyramid[l].Width,
                Stride = _model.Config.FirstStride << l,
                BoxDeltas = pyramid.Level(boxes, l, 4),
                Centerness = pyramid.Level(centerness, l, 1),
            };
            if (!pass.IsPlanning)
                _postProcessor.BeginLevel(_scratch, level);
            for (int first = 0; scored > 0 && first < level.Cells; first += block)
            {
                int count = Math.Min(block, level.Cells - first);
                head.Logits(pass.Kernels, cells.Slice(first * channels, count * channels), count, queries, bias, pack, logits);
                pass.Mark("head");
                if (!pass.IsPlanning)
                    _postProcessor.Rank(_scratch, level, new AtssLogits { FirstCell = first, Cells = count, Values = logits, Tokens = scored, Stride = scored });
                pass.Mark("selection");
            }

            if (!pass.IsPlanning)
                _postProcessor.EndLevel(_scratch, level);
        }

        if (pass.IsPlanning)
            return [];
        ReadOnlySpan<Candidate> found = _postProcessor.Select(_scratch, call.Geometry.SourceHeight, call.Geometry.SourceWidth, call.Trace);
        if (call.TokenScores)
            KeepTokenLogits(found, pyramid, visual, queries, bias, pack);
        pass.Mark("selection");
        return found;
    }

    /// <summary>The logits of what was found once more, for callers that want to see them.</summary>
    private void KeepTokenLogits(
        ReadOnlySpan<Candidate> found, Pyramid pyramid, ReadOnlySpan<float> visual, ReadOnlySpan<float> queries, ReadOnlySpan<float> bias, Span<float> pack)
    {
        int channels = _model.Config.Channels, scored = bias.Length;
        _tokenLogits = new float[found.Length * scored];
        for (int i = 0; i < found.Length; i++)
        {
            ReadOnlySpan<float> cell = pyramid.Level(visual, found[i].Level, channels).Slice(found[i].Cell * channels, channels);
            _model.Head.Logits(_pass.Kernels, cell, 1, queries, bias, pack, _tokenLogits.AsSpan(i * scored, scored));
        }
    }

    /// <summary>Hidden states of a text, the encoder's from the cache if it has them. Whoever watches the network sees it work.</summary>
    private void EncodeText(ForwardPass pass, ReadOnlyMemory<int> ids, int real, ReadOnlySpan<float> rows, Span<float> hidden)
    {
        bool cached = _model.HasTextEncoder && !pass.IsPlanning && pass.Trace is null && pass.Profile is null;
        if (!cached || !_texts.TryGet(ids, hidden))
        {
            _model.EncodeText(pass, ids.Span, real, hidden);
            if (cached)
                _texts.Add(ids, hidden);
        }

        _model.AddRows(pass, rows, real, hidden);
    }

    /// <summary>The original's form of a prompt: filled up to the full length.</summary>
    private int[] Padded(ReadOnlyMemory<int> ids)
    {
        var padded = new int[_model.Config.MaxQueryLength];
        Array.Fill(padded, _prompts.Tokenizer.Vocabulary.PadId);
        ids.Span.CopyTo(padded);
        return padded;
    }

    /// <summary>All chunks' detections over the threshold, then the best of all.</summary>
    private Detection[] Find(in ImageGeometry geometry, Plan plan, Span<float> visual, PromptChunks chunks, DetectOptions options)
    {
        float threshold = options.Threshold ?? _model.Config.DefaultThreshold;
        int limit = Limit(options);
        Pyramid pyramid = plan.Pyramid;
        using WorkspaceBuffer boxes = _pass.Rent(pyramid.Cells, 4);
        using WorkspaceBuffer centerness = _pass.Rent(pyramid.Cells);
        var call = new Call(geometry, pyramid, plan.KeepsVisual, limit, null, null, options.TokenScores);
        for (int c = 0; c < chunks.All.Length; c++)
        {
            PromptChunk chunk = chunks.All[c];
            ReadOnlySpan<Candidate> candidates = FindChunk(_pass, call, new ChunkText(chunk.Encoded, _rows[c]), visual, isFirst: c == 0, boxes, centerness);
            for (int i = 0; i < candidates.Length && candidates[i].Score > threshold; i++)
            {
                TokenScore[] tokenScores = options.TokenScores ? TokenScores(i, candidates[i].Label, chunk.Encoded) : [];
                _found.Add(new Found(candidates[i] with { Label = chunk.LabelsBefore + candidates[i].Label }, tokenScores));
            }
        }

        ReadOnlySpan<Found> all = Best(limit, chunks.All.Length);
        if (all.IsEmpty)
            return [];
        var detections = new Detection[all.Length];
        for (int i = 0; i < all.Length; i++)
        {
            Candidate found = all[i].Candidate;
            detections[i] = new Detection(found.Box, found.Score, found.Label, chunks.Prompt.Phrases[found.Label - 1]) { TokenScores = all[i].TokenScores };
        }

        return detections;
    }

    /// <summary>Of all that was found the <paramref name="limit"/> best, with all that tie with the last of them: the rule of one chunk.</summary>
    private ReadOnlySpan<Found> Best(int limit, int chunks)
    {
        Span<Found> all = CollectionsMarshal.AsSpan(_found);
        if (chunks == 1)
            return all;
        all.Sort(static (a, b) => Candidate.ByScoreThenLabelThenBox(a.Candidate, b.Candidate));
        int count = Math.Min(limit, all.Length);
        while (count > 0 && count < all.Length && all[count].Candidate.Score == all[count - 1].Candidate.Score)
            count++;
        return all[..count];
    }

    private int Limit(DetectOptions options) => options.MaxDetections ?? _model.Config.DetectionsPerImage;

    /// <summary>The prompt as this call reads it, after a look at the options that go with it.</summary>
    private PromptChunks Chunks(Prompt prompt, DetectOptions options)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        if (options.Threshold is { } threshold && !(threshold is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(options), threshold, "the threshold must be 0..1");
        if (options.MaxDetections is { } limit && limit < 1)
            throw new ArgumentOutOfRangeException(nameof(options), limit, $"{nameof(DetectOptions.MaxDetections)} must be at least 1");
        PromptChunks chunks = options.AllowTruncatedPrompt ? _prompts.Whole(prompt) : _prompts.Split(prompt);
        if (chunks.CutLabels > 0 && !options.AllowTruncatedPrompt)
            throw prompt.IsList ? TooLong(chunks) : Truncated(prompt, chunks.All[0].Encoded);
        _rows.Clear();
        foreach (PromptChunk chunk in chunks.All)
            _rows.Add(FindRows(chunk.Encoded));
        return chunks;
    }

    private ArgumentException TooLong(PromptChunks chunks)
    {
        PromptChunk first = chunks.All[0];
        foreach (PromptChunk chunk in chunks.All)
        {
            if (chunk.Encoded.TruncatedLabels.Count > 0)
            {
                first = chunk;
                break;
            }
        }

        int label = first.LabelsBefore + first.Encoded.TruncatedLabels[0];
        return new ArgumentException(
            $"phrase {label}, {DisplayText.Quote(chunks.Prompt.Phrases[label - 1].Text)}, alone has {first.Encoded.UntruncatedCount} tokens, this model reads "
            + $"{_model.Config.MaxQueryLength}; shorten it, or set {nameof(DetectOptions)}.{nameof(DetectOptions.AllowTruncatedPrompt)} to go on without its end",
            "prompt");
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
        for (int i = 0; i < stored.Count; i++)
        {
            if (ids.SequenceEqual(stored[i].TokenIds))
                return stored[i].Values;
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

    /// <summary>True if the image's features must outlive the first chunk's fusion, which works in place otherwise.</summary>
    private static bool KeepsVisual(Work work, PromptChunks? chunks) => work != Work.Both || chunks!.All.Length > 1;

    /// <summary>Makes sure that the memory fits this call, before any work.</summary>
    private Plan Prepare(in ImageGeometry geometry, Work work, PromptChunks? chunks)
    {
        ChunkSize[] sizes = chunks?.Sizes ?? [];
        bool keepsVisual = KeepsVisual(work, chunks);
        Plan? plan = _plans[(int)work];
        if (plan is null || plan.Image != Padded(geometry) || plan.KeepsVisual != keepsVisual || !plan.Sizes.AsSpan().SequenceEqual(sizes))
            plan = _plans[(int)work] = MakePlan(geometry, work, keepsVisual, sizes);
        if (Math.Max(plan.WorkspaceFloats, plan.ScratchFloats) > Workspace.MaxFloats)
            throw TooLarge(geometry, sizes);
        if (plan.Bytes > _maxWorkspaceBytes)
        {
            throw new ArgumentException(
                $"{Input(geometry, sizes)} needs {plan.Bytes} bytes of workspace, "
                + $"{nameof(GlipOptions)}.{nameof(GlipOptions.MaxWorkspaceBytes)} allows {_maxWorkspaceBytes}; choose a smaller size");
        }

        Reserve(plan, geometry);
        return plan;
    }

    private void Reserve(Plan plan, in ImageGeometry geometry)
    {
        try
        {
            _pass.Workspace.Reserve(plan.WorkspaceFloats);
            _pass.Kernels.ReserveScratch(plan.ScratchFloats);
        }
        catch (OutOfMemoryException e)
        {
            throw new InsufficientMemoryException(
                $"{Input(geometry, plan.Sizes)} needs {plan.Bytes} bytes of workspace beside the weights, the process may have {MemoryLimit.Bytes} bytes in all; "
                + "choose a smaller size or raise the limit", e);
        }
    }

    /// <summary>Runs the forward pass without memory and without arithmetic, to learn what it needs.</summary>
    private Plan MakePlan(in ImageGeometry geometry, Work work, bool keepsVisual, ChunkSize[] sizes)
    {
        MapSize image = Padded(geometry);
        var p3 = new MapSize(image.Height / _model.Config.FirstStride, image.Width / _model.Config.FirstStride);
        var pyramid = new Pyramid(p3, _model.Config.Levels);
        var pass = new ForwardPass(new KernelContext(_isa, _pool, planning: true), Workspace.CreatePlanning());
        try
        {
            // Where features come from or go to the caller, they are no part of the workspace.
            Workspace home = work == Work.Both ? pass.Workspace : Workspace.CreatePlanning();
            using WorkspaceBuffer visual = home.Rent(checked(pyramid.Cells * _model.Config.Channels));
            if (work.HasFlag(Work.Image))
                EncodeImage(pass, default, geometry, pyramid, visual);
            if (work.HasFlag(Work.Prompt))
            {
                using WorkspaceBuffer boxes = pass.Rent(pyramid.Cells, 4);
                using WorkspaceBuffer centerness = pass.Rent(pyramid.Cells);
                var call = new Call(geometry, pyramid, keepsVisual, 0, null, null, TokenScores: false);
                foreach (ChunkSize size in sizes)
                    FindChunk(pass, call, new ChunkText(new int[size.Tokens], new int[size.Scored], [], []), visual, isFirst: true, boxes, centerness);
            }
        }
        catch (OverflowException)
        {
            throw TooLarge(geometry, sizes); // a single buffer would be longer than a span
        }

        return new Plan(image, sizes, keepsVisual, pyramid, pass.Workspace.PeakFloats, pass.Kernels.ScratchFloats);
    }

    private static string Input(in ImageGeometry geometry, ChunkSize[] sizes) =>
        $"a {geometry.Width}x{geometry.Height} input" + (sizes is [.., ChunkSize longest] ? $" with {longest.Tokens} tokens" : "");

    private static ArgumentException TooLarge(in ImageGeometry geometry, ChunkSize[] sizes) => new(
        $"{Input(geometry, sizes)} needs more than {Workspace.MaxFloats * sizeof(float)} bytes of workspace, "
        + "which is more than an array can hold; choose a smaller size");

    /// <param name="index">Of the candidate.</param>
    /// <param name="label">Its label, in the chunk.</param>
    /// <param name="prompt">The chunk.</param>
    private TokenScore[] TokenScores(int index, int label, EncodedPrompt prompt)
    {
        ReadOnlySpan<float> logits = _tokenLogits.AsSpan(index * prompt.PositiveMap.Scored.Length);
        ReadOnlySpan<int> positions = prompt.PositiveMap.TokensOf(label), scored = prompt.PositiveMap.AllScored[label - 1];
        var scores = new TokenScore[positions.Length];
        for (int i = 0; i < scores.Length; i++)
            scores[i] = new TokenScore(prompt.Tokens[positions[i]].Text, positions[i], PortableMath.Sigmoid(logits[scored[i]]));
        return scores;
    }

    /// <summary>The logits of all tokens for all cells, which detection does without.</summary>
    private void TraceHead(StageTrace trace, Pyramid pyramid, ReadOnlySpan<float> visual, ReadOnlySpan<float> hidden, int tokens)
    {
        int channels = _model.Config.Channels;
        int[] all = [.. Enumerable.Range(0, tokens)];
        float[] queries = new float[tokens * channels], bias = new float[tokens], pack = new float[_model.Head.PackFloats(_pass.Kernels, tokens)];
        _model.Head.Queries(_pass, hidden, all, queries, bias);
        for (int level = 0; level < pyramid.Levels; level++)
        {
            int cells = pyramid[level].Cells;
            var logits = new float[cells * tokens];
            _model.Head.Logits(_pass.Kernels, pyramid.Level(visual, level, channels), cells, queries, bias, pack, logits);
            trace.Tokens($"head.dot_product_logits.{Pyramid.Name(level)}", logits, cells, tokens);
        }
    }

    private void TraceText(StageTrace trace, EncodedPrompt prompt)
    {
        // The original pads to the full length; ids and mask are recorded so, floats only for real tokens.
        int length = _model.Config.MaxQueryLength;
        var ids = new long[length];
        var mask = new long[length];
        Array.Fill(ids, _prompts.Tokenizer.Vocabulary.PadId);
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
        var boxes = new float[4 * candidates.Count];
        var scores = new float[candidates.Count];
        var labels = new long[candidates.Count];
        for (int i = 0; i < candidates.Count; i++)
        {
            Box box = candidates[i].Box;
            (boxes[4 * i], boxes[(4 * i) + 1], boxes[(4 * i) + 2], boxes[(4 * i) + 3]) = (box.X1, box.Y1, box.X2, box.Y2);
            (scores[i], labels[i]) = (candidates[i].Score, candidates[i].Label);
        }

        trace.Add(boxesName, boxes, [candidates.Count, 4]);
        trace.Add(scoresName, scores, [candidates.Count]);
        trace.Add(labelsName, labels, [candidates.Count]);
    }

    /// <summary>What all chunks of a call share.</summary>
    /// <param name="Geometry">Sizes of the picture.</param>
    /// <param name="Pyramid">Levels, A cells.</param>
    /// <param name="KeepsVisual">True if another chunk or call needs the image's features.</param>
    /// <param name="Limit">Most detections.</param>
    /// <param name="InferenceThreshold">Replaces the model's, or null.</param>
    /// <param name="Trace">Receives what selection saw, or null.</param>
    /// <param name="TokenScores">True to keep the logits of what is found.</param>
    private readonly record struct Call(
        ImageGeometry Geometry, Pyramid Pyramid, bool KeepsVisual, int Limit, float? InferenceThreshold, AtssTrace? Trace, bool TokenScores);

    /// <summary>A chunk as the network reads it.</summary>
    /// <param name="Ids">Its tokens, L.</param>
    /// <param name="Scored">Those that speak for labels, U.</param>
    /// <param name="Labels">Of each label its tokens, counted among the scored.</param>
    /// <param name="Rows">Of <see cref="FindRows"/>, [L, text channels] or empty.</param>
    private readonly record struct ChunkText(ReadOnlyMemory<int> Ids, int[] Scored, IReadOnlyList<int[]> Labels, float[] Rows)
    {
        public ChunkText(EncodedPrompt encoded, float[] rows)
            : this(encoded.Ids, encoded.PositiveMap.Scored, encoded.PositiveMap.AllScored, rows)
        {
        }
    }

    /// <summary>Something found, with the phrase's token scores if they were asked for.</summary>
    private readonly record struct Found(Candidate Candidate, TokenScore[] TokenScores);

    /// <summary>Memory of one image size and the token counts of a prompt's chunks.</summary>
    private sealed record Plan(MapSize Image, ChunkSize[] Sizes, bool KeepsVisual, Pyramid Pyramid, long WorkspaceFloats, long ScratchFloats)
    {
        public long Bytes => (WorkspaceFloats + ScratchFloats) * sizeof(float);
    }
}
