namespace Glip.Managed.Imaging.Drawing;

/// <summary>A color.</summary>
internal readonly record struct Rgb(byte Red, byte Green, byte Blue)
{
    private const double GoldenAngle = 137.50776405003785;

    public static Rgb Black => new(0, 0, 0);

    public static Rgb White => new(255, 255, 255);

    /// <summary>Black or white, whichever is easier to read on this color.</summary>
    public Rgb Contrast => ContrastWith(Black) >= ContrastWith(White) ? Black : White;

    /// <summary>Light that the color gives off, 0 to 1 (WCAG 2.1, relative luminance).</summary>
    private double Luminance => 0.2126 * Linear(Red) + 0.7152 * Linear(Green) + 0.0722 * Linear(Blue);

    /// <summary>The color of a label, the same in every picture. Steps of the golden angle keep the hues of the first labels far apart.</summary>
    /// <param name="label">Counted from 1.</param>
    public static Rgb ForLabel(int label) => FromHue((150 + (label - 1) * GoldenAngle) % 360);

    /// <summary>How well two colors can be told apart, 1 to 21 (WCAG 2.1, contrast ratio); text needs 4.5.</summary>
    public double ContrastWith(Rgb other)
    {
        (double a, double b) = (Luminance, other.Luminance);
        return (Math.Max(a, b) + 0.05) / (Math.Min(a, b) + 0.05);
    }

    private static double Linear(byte channel)
    {
        double value = channel / 255.0;
        return value <= 0.04045 ? value / 12.92 : Math.Pow((value + 0.055) / 1.055, 2.4);
    }

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
