namespace Glip.Managed.Imaging.Drawing;

/// <summary>Finds places for the plates that labels stand on: at their frames, inside the picture and, where there is room, apart from each other.</summary>
internal static class LabelLayout
{
    // Rungs of the ladder that a plate may climb, up and down. One other plate bars at most two of them.
    private const int MostSteps = 12;

    /// <summary>A place for each label, inside the canvas.</summary>
    /// <param name="frames">What the labels belong to. The first chooses first.</param>
    /// <param name="widths">Width of each label's plate; cut to the canvas.</param>
    /// <param name="height">Height of all plates; cut to the canvas.</param>
    /// <param name="canvasWidth">Columns of the canvas.</param>
    /// <param name="canvasHeight">Rows of the canvas.</param>
    public static PixelRect[] Place(IReadOnlyList<PixelRect> frames, IReadOnlyList<int> widths, int height, int canvasWidth, int canvasHeight)
    {
        height = Math.Min(height, canvasHeight);
        var plates = new PixelRect[frames.Count];
        for (int i = 0; i < plates.Length; i++)
        {
            int width = Math.Min(widths[i], canvasWidth);
            long least = long.MaxValue;
            foreach ((int left, int top) in Places(frames[i], width, height, canvasHeight))
            {
                if (top < 0 || top + height > canvasHeight)
                    continue;
                int x = Math.Clamp(left, 0, canvasWidth - width);
                var plate = new PixelRect(x, top, x + width, top + height);
                long covered = 0;
                for (int other = 0; other < i; other++)
                    covered += plate.SharedWith(plates[other]);
                if (covered >= least)
                    continue;
                (least, plates[i]) = (covered, plate);
                if (covered == 0)
                    break;
            }
        }

        return plates;
    }

    /// <summary>Where a plate may stand, the best place first. The last one is always inside the canvas.</summary>
    private static IEnumerable<(int Left, int Top)> Places(PixelRect frame, int width, int height, int canvasHeight)
    {
        int above = frame.Top - height;
        int rightAligned = frame.Right - width;
        yield return (frame.Left, above);
        yield return (frame.Left, frame.Top);
        yield return (frame.Left, frame.Bottom);
        yield return (rightAligned, above);
        yield return (rightAligned, frame.Top);
        yield return (rightAligned, frame.Bottom);
        yield return (frame.Right, frame.Top);
        yield return (frame.Left - width, frame.Top);
        for (int step = 1; step <= MostSteps; step++)
        {
            yield return (frame.Left, frame.Top + step * height);
            yield return (frame.Left, above - step * height);
        }

        yield return (frame.Left, Math.Clamp(frame.Top, 0, canvasHeight - height));
    }
}
