using System.Globalization;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Managed.Imaging.Drawing;

/// <summary>Draws detections on a copy of their picture: a frame each, in the label's color, and a plate with phrase and score.</summary>
/// <remarks>
/// Line width and letters grow with the picture. A picture whose longer side is below 640 pixels is first enlarged by a whole
/// factor of 2 to 4 (each pixel becomes a square), because letters would hide it otherwise. Plates stay inside the picture and move
/// away from each other where there is room; phrases are shortened to fit. Characters outside ASCII and Latin-1 appear as
/// empty squares. The same detections on the same picture always give the same pixels.
/// </remarks>
public static class DetectionPainter
{
    private const int LegibleSide = 640;
    private const int MaxEnlargement = 4;
    private const int SideForEachLinePixel = 400;
    private const int LeastLine = 2;

    /// <summary>Draws detections.</summary>
    /// <param name="image">The picture that was searched; it is not changed.</param>
    /// <param name="detections">What was found, in that picture's pixels. The best-scored are drawn on top.</param>
    /// <param name="enlargeSmall">False to keep the size of small pictures too.</param>
    /// <returns>The annotated picture, as large as <paramref name="image"/> or, if that is small, 2 to 4 times as wide and high.</returns>
    public static DecodedImage Paint(ImageView image, IReadOnlyList<Detection> detections, bool enlargeSmall = true)
    {
        ArgumentNullException.ThrowIfNull(detections);
        int factor = enlargeSmall ? Enlargement(image) : 1;
        Canvas canvas = Canvas.Enlarged(image, factor);
        int side = Math.Max(canvas.Width, canvas.Height);
        int line = Math.Max(LeastLine, side / SideForEachLinePixel);

        Detection[] bestFirst = [.. detections.OrderByDescending(d => d.Score)];
        PixelRect[] frames = Array.ConvertAll(bestFirst, d => PixelRect.Of(d.Box, factor, canvas.Width, canvas.Height));
        for (int i = frames.Length - 1; i >= 0; i--)
        {
            // A thin inner line in black or white keeps the frame visible on a background of its own color.
            Rgb color = Rgb.ForLabel(bestFirst[i].Label);
            canvas.Frame(frames[i], line + line / 2, color.Contrast);
            canvas.Frame(frames[i], line, color);
        }

        WriteLabels(canvas, bestFirst, frames, LabelFont.ForSide(side));
        return new DecodedImage(canvas.Width, canvas.Height, canvas.Pixels);
    }

    /// <summary>The whole factor by which <see cref="Paint"/> enlarges a picture of this size: 1 to 4.</summary>
    internal static int Enlargement(ImageView image)
    {
        int side = Math.Max(image.Width, image.Height);
        return Math.Min(MaxEnlargement, (LegibleSide + side - 1) / side);
    }

    private static void WriteLabels(Canvas canvas, Detection[] bestFirst, PixelRect[] frames, LabelFont font)
    {
        int margin = font.Em / 4;
        string[] texts =
        [
            .. bestFirst.Select(d => font.Fit(d.Phrase.Text, d.Score.ToString("0.00", CultureInfo.InvariantCulture), canvas.Width - 2 * margin)),
        ];
        int[] widths = Array.ConvertAll(texts, text => font.Measure(text) + 2 * margin);
        PixelRect[] plates = LabelLayout.Place(frames, widths, font.LineHeight, canvas.Width, canvas.Height);

        // The best choose their place first but are drawn last, so that what overlaps hides the weaker one.
        for (int i = plates.Length - 1; i >= 0; i--)
        {
            Rgb color = Rgb.ForLabel(bestFirst[i].Label);
            canvas.Fill(plates[i], color);
            canvas.Write(texts[i], plates[i].Left + margin, plates[i].Top + font.Ascent, font, color.Contrast);
        }
    }
}
