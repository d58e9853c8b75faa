using System.Globalization;
using System.Text;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Managed.Imaging.Drawing;

/// <summary>Draws detections on a copy of their picture: a frame each, in the label's color, and a tag with phrase and score.</summary>
/// <remarks>
/// Line width and letters grow with the picture. A picture whose longer side is below 640 pixels is first enlarged by a whole
/// factor of 2 to 4 (each pixel becomes a square), because letters would hide it otherwise. Tags stay inside
/// the picture and move away from each other where there is room; phrases are shortened to fit. Characters outside
/// ASCII appear as empty frames.
/// </remarks>
public static class DetectionPainter
{
    private const int LegibleSide = 640;
    private const int MaxEnlargement = 4;
    private const int SideForEachLinePixel = 300;
    private const int SideForEachGlyphPixel = 500;
    private const int LeastGlyphPixel = 2;

    // Blank glyph pixels between a tag's edge and its text; at the bottom the descenders' rows are enough.
    private const int TagMargin = 2;
    private const int TagTopMargin = 1;

    /// <summary>Draws detections.</summary>
    /// <param name="image">The picture that was searched; it is not changed.</param>
    /// <param name="detections">What was found, in that picture's pixels. The best-scored are drawn on top.</param>
    /// <returns>The annotated picture, as large as <paramref name="image"/> or, if that is small, 2 to 4 times as wide and high.</returns>
    public static DecodedImage Paint(ImageView image, IReadOnlyList<Detection> detections)
    {
        ArgumentNullException.ThrowIfNull(detections);
        int factor = Enlargement(image);
        Canvas canvas = Canvas.Enlarged(image, factor);
        int side = Math.Max(canvas.Width, canvas.Height);
        int line = Math.Max(2, side / SideForEachLinePixel);
        int glyphPixel = Math.Max(LeastGlyphPixel, side / SideForEachGlyphPixel);

        Detection[] bestFirst = [.. detections.OrderByDescending(d => d.Score)];
        foreach (Detection detection in bestFirst.Reverse())
            canvas.Frame(FrameOf(detection.Box, factor, canvas), line, Rgb.ForLabel(detection.Label));

        // The best choose their tag's place first but are drawn last, so that what overlaps hides the weaker one.
        var tags = new List<PixelRect>(bestFirst.Length);
        string[] texts = [.. bestFirst.Select(d => Text(d, canvas.Width, glyphPixel))];
        for (int i = 0; i < bestFirst.Length; i++)
            tags.Add(PlaceTag(FrameOf(bestFirst[i].Box, factor, canvas), texts[i], glyphPixel, canvas, tags));
        for (int i = bestFirst.Length - 1; i >= 0; i--)
        {
            Rgb color = Rgb.ForLabel(bestFirst[i].Label);
            canvas.Fill(tags[i], color);
            canvas.Write(texts[i], tags[i].Left + TagMargin * glyphPixel, tags[i].Top + TagTopMargin * glyphPixel, glyphPixel, color.Contrast);
        }

        return new DecodedImage(canvas.Width, canvas.Height, canvas.Pixels);
    }

    /// <summary>The whole factor by which <see cref="Paint"/> enlarges a picture of this size: 1 to 4.</summary>
    internal static int Enlargement(ImageView image)
    {
        int side = Math.Max(image.Width, image.Height);
        return Math.Min(MaxEnlargement, (LegibleSide + side - 1) / side);
    }

    private static PixelRect FrameOf(Box box, int factor, Canvas canvas)
    {
        // Boxes name their last pixel, rectangles the one after it.
        int left = Edge(box.X1, canvas.Width - 1);
        int top = Edge(box.Y1, canvas.Height - 1);
        return new PixelRect(left, top, Math.Max(left + 1, Edge(box.X2 + 1, canvas.Width)), Math.Max(top + 1, Edge(box.Y2 + 1, canvas.Height)));

        int Edge(float position, int limit) => (int)Math.Clamp(MathF.Round(position * factor), 0, limit);
    }

    private static string Text(Detection detection, int width, int glyphPixel)
    {
        string score = detection.Score.ToString("0.00", CultureInfo.InvariantCulture);
        Rune[] phrase = [.. detection.Phrase.Text.EnumerateRunes()];
        int room = (width / glyphPixel + 1 - 2 * TagMargin) / GlyphSet.Advance - score.Length - 1; // the last glyph needs no gap
        if (phrase.Length <= room)
            return $"{detection.Phrase.Text} {score}";
        const string ellipsis = ".."; // the pixel alphabet has no single character for it
        return room <= ellipsis.Length ? score : $"{string.Concat(phrase.Take(room - ellipsis.Length))}{ellipsis} {score}";
    }

    /// <summary>The first place that is free: above the frame, inside at its top, inside at its bottom, below it.</summary>
    private static PixelRect PlaceTag(PixelRect frame, string text, int glyphPixel, Canvas canvas, List<PixelRect> taken)
    {
        int width = (text.EnumerateRunes().Count() * GlyphSet.Advance - 1 + 2 * TagMargin) * glyphPixel;
        int height = (GlyphSet.Height + TagTopMargin) * glyphPixel;
        PixelRect? fallback = null;
        foreach (int top in (ReadOnlySpan<int>)[frame.Top - height, frame.Top, frame.Bottom - height, frame.Bottom])
        {
            if (top < 0 || top + height > canvas.Height)
                continue;
            PixelRect tag = At(top);
            if (!taken.Exists(tag.Overlaps))
                return tag;
            fallback ??= tag;
        }

        return fallback ?? At(Math.Clamp(frame.Top, 0, Math.Max(0, canvas.Height - height)));

        PixelRect At(int top)
        {
            int left = Math.Clamp(frame.Left, 0, Math.Max(0, canvas.Width - width));
            return new PixelRect(left, top, left + width, top + height);
        }
    }
}
