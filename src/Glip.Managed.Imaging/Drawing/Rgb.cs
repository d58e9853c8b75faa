namespace Glip.Managed.Imaging.Drawing;

/// <summary>A color.</summary>
internal readonly record struct Rgb(byte Red, byte Green, byte Blue)
{
    private const double GoldenAngle = 137.50776405003785;

    public static Rgb Black => new(0, 0, 0);

    public static Rgb White => new(255, 255, 255);

    /// <summary>Black or white, whichever is easier to read on this color.</summary>
    public Rgb Contrast => 0.299 * Red + 0.587 * Green + 0.114 * Blue > 140 ? Black : White;

    /// <summary>The color of a label, the same in every picture. Steps of the golden angle keep the hues of the first labels far apart.</summary>
    /// <param name="label">Counted from 1.</param>
    public static Rgb ForLabel(int label) => FromHue((150 + (label - 1) * GoldenAngle) % 360);

    private static Rgb FromHue(double degrees)
    {
        return new(Channel(5), Channel(3), Channel(1));

        // The usual formula for HSV, with fixed saturation and value.
        byte Channel(double offset)
        {
            const double saturation = 0.85, value = 0.95;
            double k = (offset + degrees / 60) % 6;
            return (byte)Math.Round(255 * value * (1 - saturation * Math.Clamp(Math.Min(k, 4 - k), 0, 1)));
        }
    }
}
