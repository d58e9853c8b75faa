using System.Globalization;
using System.Text;
using Glip.Managed;
using Glip.Managed.Imaging;

// The least that a host can be: the library alone, pixels from a file without compression, results as text.
if (args is not [var path, var prompt])
{
    Console.Error.WriteLine("glip-host PICTURE.ppm PROMPT");
    return 2;
}

// P6, width, height and 255, each followed by one blank, then the pixels: what glip decode writes.
byte[] file = File.ReadAllBytes(path);
string[] header = Encoding.ASCII.GetString(file.AsSpan(0, Math.Min(file.Length, 40))).Split((char[])[' ', '\n'], 5);
if (header is not ["P6", _, _, "255", _])
{
    Console.Error.WriteLine($"glip-host: {path}: expected a PPM file of 8 bits");
    return 1;
}

(int width, int height) = (int.Parse(header[1], CultureInfo.InvariantCulture), int.Parse(header[2], CultureInfo.InvariantCulture));
var pixels = new ImageView(file.AsSpan(file.Length - (3 * width * height)), width, height, PixelFormat.Rgb24);
using GlipDetector detector = GlipDetector.LoadDefault();
foreach (Detection found in detector.Detect(pixels, prompt))
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{found.Phrase.Text} {found.Score:F3}"));
return 0;
