using System.Globalization;
using System.Text;

namespace Glip.Managed.Imaging.Codecs;

/// <summary>Writes binary PPM (P6): a short header in text, then the pixels as they are.</summary>
internal static class PpmEncoder
{
    public static void Write(Stream stream, ImageView image)
    {
        stream.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"P6\n{image.Width} {image.Height}\n255\n")));
        var row = new byte[checked(image.Width * 3)];
        for (int y = 0; y < image.Height; y++)
        {
            PixelRows.ToRgb24(image.Row(y), image.Format, row);
            stream.Write(row);
        }
    }
}
