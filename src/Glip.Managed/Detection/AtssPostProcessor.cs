using System.Numerics.Tensors;
using Glip.Kernels;

namespace Glip.Managed.Postprocessing;

/// <summary>
/// Selects detections from the head's output as ATSS does (Zhang et al., CVPR 2020), with GLIP's class probability: the mean of a label's
/// token probabilities. Use <see cref="Begin"/>; a level from fine to coarse <see cref="BeginLevel"/>, <see cref="Rank"/> for its cells in as many pieces as
/// there are, and <see cref="EndLevel"/>; then <see cref="Select"/>.
/// Holds no state of a call, so one instance serves all threads; each call brings its <see cref="AtssScratch"/>.
/// </summary>
internal sealed class AtssPostProcessor
{
    private readonly AtssSettings _settings;

    /// <summary>Creates a post-processor.</summary>
    /// <exception cref="ArgumentException">A setting is out of its range.</exception>
    public AtssPostProcessor(AtssSettings settings)
    {
        if (!(settings.AnchorScale > 0))
            throw new ArgumentException($"Expected a positive anchor scale, found {settings.AnchorScale}", nameof(settings));
        if (settings.PreNmsTopN < 1 || settings.DetectionsPerImage < 1)
        {
            throw new ArgumentException(
                $"Expected limits from 1, found {settings.PreNmsTopN} per level and {settings.DetectionsPerImage} per image",
                nameof(settings));
        }

        CheckThreshold(settings.InferenceThreshold, nameof(settings));
        CheckThreshold(settings.NmsThreshold, nameof(settings));
        _settings = settings;
    }

    /// <summary>Starts a call.</summary>
    /// <param name="scratch">Its buffers; what they held of another call is forgotten.</param>
    /// <param name="labelTokens">Entry i: token positions of label i + 1, none if it is never to be detected. Labels may share them.</param>
    /// <param name="imageHeight">Height of the resized image without padding, in pixels.</param>
    /// <param name="imageWidth">Width of the resized image without padding, in pixels.</param>
    /// <param name="inferenceThreshold">Overrides <see cref="AtssSettings.InferenceThreshold"/> for this call.</param>
    /// <param name="detectionsPerImage">Overrides <see cref="AtssSettings.DetectionsPerImage"/> for this call.</param>
    /// <exception cref="ArgumentException">A size or limit below 1, a threshold outside 0…1, or a negative token position.</exception>
    public void Begin(
        AtssScratch scratch, IReadOnlyList<int[]> labelTokens, int imageHeight, int imageWidth, float? inferenceThreshold = null, int? detectionsPerImage = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(imageHeight, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(imageWidth, 1);
        float threshold = inferenceThreshold ?? _settings.InferenceThreshold;
        CheckThreshold(threshold, nameof(inferenceThreshold));
        int limit = detectionsPerImage ?? _settings.DetectionsPerImage;
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1, nameof(detectionsPerImage));
        scratch.Reset(labelTokens, imageHeight, imageWidth, threshold, limit);
    }

    /// <summary>Starts the next level.</summary>
    /// <exception cref="ArgumentException">A span is shorter than the level's sizes say.</exception>
    public void BeginLevel(AtssScratch scratch, in AtssLevel level)
    {
        int cells = level.Cells;
        if (level.BoxDeltas.Length < 4 * cells || level.Centerness.Length < cells)
        {
            throw new ArgumentException(
                $"Level of {level.Height} × {level.Width}: expected {4 * cells} box deltas and {cells} centerness values, " +
                $"found {level.BoxDeltas.Length} and {level.Centerness.Length}",
                nameof(level));
        }

        scratch.Levels++;
        scratch.Best.Reset(_settings.PreNmsTopN);
    }

    /// <summary>Looks for candidates among some cells of the level that was begun last.</summary>
    /// <exception cref="ArgumentException">The cells are not the level's, there are fewer logits than that many cells have, or a label's token has none.</exception>
    public void Rank(AtssScratch scratch, in AtssLevel level, in AtssLogits logits)
    {
        CheckSpans(scratch, in level, in logits);
        var best = scratch.Best;
        float threshold = scratch.InferenceThreshold;
        float hopeless = HopelessLogit(threshold);
        for (int i = 0; scratch.TokensNeeded > 0 && i < logits.Cells; i++)
        {
            // Most cells show nothing that the prompt names: one pass over their logits says so, without an exp. A NaN makes the maximum
            // NaN, which says nothing about the other tokens, so it does not end the search.
            var row = logits.At(i);
            float highest = TensorPrimitives.Max(row);
            if (highest <= hopeless)
                continue;

            // Once enough are found, a label must also be likely enough to push one of them out.
            int cell = logits.FirstCell + i;
            float centerness = PortableMath.Sigmoid(level.Centerness[cell]);
            float bound = best.ToBeat > 0 ? HopelessLogit(MathF.Max(threshold, best.ToBeat / centerness)) : hopeless;
            if (highest <= bound)
                continue;
            for (int label = 0; label < scratch.Labels; label++)
            {
                var tokens = scratch.TokensOf(label);
                if (!AnyAbove(bound, row, tokens))
                    continue;
                float probability = MeanSigmoid(row, tokens);
                if (probability > threshold)
                    best.Offer(new(probability * centerness, probability, cell, label));
            }
        }
    }

    /// <summary>Adds the best of the level to the candidates.</summary>
    public void EndLevel(AtssScratch scratch, in AtssLevel level)
    {
        var best = scratch.Best.Take();
        scratch.Reserve(best.Length);
        foreach (ref readonly var entry in best)
        {
            var (y, x) = Math.DivRem(entry.Cell, level.Width);
            var anchor = AnchorGenerator.At(_settings.AnchorScale, level.Stride, y, x);
            var box = BoxCoder.Clip(
                BoxCoder.Decode(anchor, level.BoxDeltas.Slice(4 * entry.Cell, 4)), scratch.ImageHeight, scratch.ImageWidth);
            if (BoxCoder.IsNumber(box))
                scratch.Add(new(box, MathF.Sqrt(entry.Rank), entry.Label + 1, scratch.Levels - 1, entry.Cell, entry.Probability));
        }
    }

    /// <summary>Selects from all levels added since <see cref="Begin"/>.</summary>
    /// <param name="scratch">The call's buffers.</param>
    /// <param name="originalHeight">Height of the picture before resizing, in pixels.</param>
    /// <param name="originalWidth">Width of the picture before resizing, in pixels.</param>
    /// <param name="trace">Receives what selection saw, if given.</param>
    /// <returns>
    /// All that passed, whatever a caller's display threshold may be: boxes in pixels of the original picture, by descending score, then
    /// label, then box. They lie in <paramref name="scratch"/>, until its next use.
    /// </returns>
    public ReadOnlySpan<Candidate> Select(AtssScratch scratch, int originalHeight, int originalWidth, AtssTrace? trace = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(originalHeight, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(originalWidth, 1);
        var candidates = scratch.Candidates;
        candidates.Sort(Candidate.ByScoreThenPlace);
        var kept = scratch.Kept;
        kept = kept[..Nms.Select(candidates, _settings.NmsThreshold, scratch.DetectionsPerImage, kept)];

        if (trace is not null)
            trace.PreNms = candidates.ToArray();

        // Kept indices ascend, so moving down overwrites nothing that is still needed.
        for (int i = 0; i < kept.Length; i++)
            candidates[i] = candidates[kept[i]];
        var selected = candidates[..kept.Length];
        if (trace is not null)
            trace.Selected = selected.ToArray();

        // The ratios are rounded to float only once, after the division; the boxes are not clipped again.
        float scaleX = (float)((double)originalWidth / scratch.ImageWidth);
        float scaleY = (float)((double)originalHeight / scratch.ImageHeight);
        foreach (ref var candidate in selected)
        {
            var box = candidate.Box;
            candidate = candidate with { Box = new(box.X1 * scaleX, box.Y1 * scaleY, box.X2 * scaleX, box.Y2 * scaleY) };
        }

        selected.Sort(Candidate.ByScoreThenLabelThenBox);
        return selected;
    }

    /// <summary>A logit so low that no mean of probabilities of such logits, however it is rounded, exceeds the threshold.</summary>
    /// <remarks>
    /// A mean is at most its largest member. 256 additions in float err by 1.5e-5 of the sum at most, so one part in 10⁴ of the
    /// threshold is margin enough, as long as the numbers are normal. It covers the logarithm too, whose last bit is the platform's.
    /// </remarks>
    private static float HopelessLogit(float threshold)
    {
        const float SmallestNormal = 1.17549435e-38f;
        if (threshold < SmallestNormal)
            return float.NegativeInfinity;
        double safe = threshold * (1 - 1e-4);
        return safe < 1 ? (float)Math.Log(safe / (1 - safe)) : float.PositiveInfinity;
    }

    private static bool AnyAbove(float bound, ReadOnlySpan<float> logits, ReadOnlySpan<int> tokens)
    {
        foreach (int token in tokens)
        {
            if (logits[token] > bound)
                return true;
        }

        return false;
    }

    private static float MeanSigmoid(ReadOnlySpan<float> logits, ReadOnlySpan<int> tokens)
    {
        float sum = 0;
        foreach (int token in tokens)
            sum += PortableMath.Sigmoid(logits[token]);
        return sum / tokens.Length;
    }

    private static void CheckThreshold(float value, string parameter)
    {
        if (!(value is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(parameter, value, "Expected a threshold in 0…1");
    }

    private static void CheckSpans(AtssScratch scratch, in AtssLevel level, in AtssLogits logits)
    {
        if (logits.FirstCell < 0 || logits.Cells < 0 || logits.FirstCell > level.Cells - logits.Cells)
        {
            throw new ArgumentException(
                $"Level of {level.Height} × {level.Width}: expected cells of its {level.Cells}, found {logits.Cells} from {logits.FirstCell} on", nameof(logits));
        }

        long needed = logits.Cells == 0 ? 0 : ((long)(logits.Cells - 1) * logits.Stride) + logits.Tokens;
        if (logits.Stride < logits.Tokens || logits.Values.Length < needed)
        {
            throw new ArgumentException(
                $"Level of {level.Height} × {level.Width}: expected {needed} logits in rows of {logits.Tokens} every {logits.Stride}, " +
                $"found {logits.Values.Length}",
                nameof(logits));
        }

        if (logits.Tokens < scratch.TokensNeeded)
            throw new ArgumentException($"Labels use {scratch.TokensNeeded} tokens, the level has logits of {logits.Tokens}", nameof(logits));
    }
}
