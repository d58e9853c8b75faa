using System.Globalization;
using Glip.Managed.Postprocessing;

namespace Glip.Managed.Tests.Postprocessing;

/// <summary>One level of a head's output, held in arrays.</summary>
internal sealed record HeadLevel(
    int Height, int Width, int Stride, float[] BoxDeltas, float[] Centerness, float[] Logits, int Tokens, int LogitStride)
{
    public AtssLevel AsLevel() => new()
    {
        Height = Height,
        Width = Width,
        Stride = Stride,
        BoxDeltas = BoxDeltas,
        Centerness = Centerness,
    };

    public AtssLogits AsLogits(int first, int cells) => new()
    {
        FirstCell = first,
        Cells = cells,
        Values = Logits.AsSpan(first * LogitStride),
        Tokens = Tokens,
        Stride = LogitStride,
    };

    /// <summary>Lets a processor see the level, so many cells at a time.</summary>
    public void AddTo(AtssPostProcessor processor, AtssScratch scratch, int cellsAtATime = int.MaxValue)
    {
        AtssLevel level = AsLevel();
        processor.BeginLevel(scratch, level);
        for (int first = 0, count; first < level.Cells; first += count)
        {
            count = Math.Min(cellsAtATime, level.Cells - first);
            processor.Rank(scratch, level, AsLogits(first, count));
        }

        processor.EndLevel(scratch, level);
    }
}

/// <summary>All that selection takes: a head's output, the label map and the image's sizes.</summary>
internal sealed record HeadOutput(
    IReadOnlyList<HeadLevel> Levels,
    IReadOnlyList<int[]> LabelTokens,
    int ImageHeight,
    int ImageWidth,
    int OriginalHeight,
    int OriginalWidth)
{
    public Candidate[] Select(
        AtssPostProcessor processor, AtssScratch scratch, AtssTrace? trace = null, float? inferenceThreshold = null, int cellsAtATime = int.MaxValue)
    {
        processor.Begin(scratch, LabelTokens, ImageHeight, ImageWidth, inferenceThreshold);
        for (int level = 0; level < Levels.Count; level++)
            Levels[level].AddTo(processor, scratch, cellsAtATime);
        return processor.Select(scratch, OriginalHeight, OriginalWidth, trace).ToArray();
    }

    /// <summary>A recorded run of the original; its maps are channels first.</summary>
    public static HeadOutput Read(OpsFile file)
    {
        var levels = new List<HeadLevel>();
        for (int level = 0; level < 5; level++)
        {
            int[] shape = file.Shape($"bbox_reg.P{level + 3}");
            int cells = shape[2] * shape[3];
            float[] planes = file.Floats($"bbox_reg.P{level + 3}");
            var deltas = new float[planes.Length];
            for (int i = 0; i < deltas.Length; i++)
                deltas[i] = planes[(i % 4 * cells) + (i / 4)];
            int tokens = file.Shape($"dot_product_logits.P{level + 3}")[2];
            levels.Add(new(
                shape[2],
                shape[3],
                8 << level,
                deltas,
                file.Floats($"centerness.P{level + 3}"),
                file.Floats($"dot_product_logits.P{level + 3}"),
                tokens,
                tokens));
        }

        var labels = file.Info.GetProperty("positive_map").EnumerateObject()
            .OrderBy(p => int.Parse(p.Name, CultureInfo.InvariantCulture))
            .Select(p => p.Value.EnumerateArray().Select(t => t.GetInt32()).ToArray());
        var original = file.Info.GetProperty("resized_to_wh");
        return new(
            levels,
            [.. labels],
            file.Info.GetProperty("image_h").GetInt32(),
            file.Info.GetProperty("image_w").GetInt32(),
            original[1].GetInt32(),
            original[0].GetInt32());
    }

    /// <summary>A random one.</summary>
    /// <param name="random">Decides everything.</param>
    /// <param name="wild">
    /// True to take half of them from a coarse grid, so that ties abound, and to strew in NaN, infinities and huge deltas.
    /// </param>
    public static HeadOutput Random(Random random, bool wild)
    {
        bool grid = wild && random.Next(2) == 0;
        bool special = wild && random.Next(3) == 0;
        int tokens = random.Next(1, 60);
        int labels = random.Next(4) switch { 0 => random.Next(0, 3), 1 => random.Next(80, 110), _ => random.Next(1, 12) };
        var labelTokens = new int[labels][];
        for (int i = 0; i < labels; i++)
        {
            labelTokens[i] = new int[random.Next(0, 5)];
            for (int t = 0; t < labelTokens[i].Length; t++)
                labelTokens[i][t] = random.Next(tokens);
        }

        int imageHeight = random.Next(1, 100), imageWidth = random.Next(1, 100);
        float middle = random.Next(-6, 2);
        var levels = new List<HeadLevel>();
        for (int level = 0; level < 5; level++)
        {
            int stride = 8 << level;
            int height = (imageHeight + stride - 1) / stride, width = (imageWidth + stride - 1) / stride;
            int cells = height * width;
            int logitStride = tokens + random.Next(0, 4);
            var logits = Fill(cells * logitStride, middle, 2);
            for (int i = 0; i < logits.Length; i++)
            {
                // What lies between the rows must not matter.
                if (i % logitStride >= tokens)
                    logits[i] = float.NaN;
            }

            var deltas = Fill(4 * cells, 0, wild && random.Next(8) == 0 ? 1000 : 3);
            levels.Add(new(height, width, stride, deltas, Fill(cells, 0, 2), logits, tokens, logitStride));
        }

        return new(levels, labelTokens, imageHeight, imageWidth, random.Next(1, 1000), random.Next(1, 1000));

        float[] Fill(int count, float mean, float spread)
        {
            var values = new float[count];
            for (int i = 0; i < count; i++)
            {
                double value = mean + (spread * ((random.NextDouble() * 3) - 1.5));
                values[i] = grid ? (float)Math.Round(value) : (float)value;
                if (special && random.Next(40) == 0)
                    values[i] = random.Next(3) switch { 0 => float.NaN, 1 => float.PositiveInfinity, _ => float.NegativeInfinity };
            }

            return values;
        }
    }
}
