using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Cli;

/// <summary>Pictures that commands read and write.</summary>
internal static class PictureFile
{
    /// <summary>What the help says about a picture to read.</summary>
    public const string Description = "The picture (PNG, JPEG, BMP, PPM, PGM, GIF).";

    /// <summary>Refuses a name whose extension is none of those given, before any work is done.</summary>
    /// <exception cref="UsageException">Another extension, or none.</exception>
    public static void CheckExtension(string path, string what, params ReadOnlySpan<string> extensions)
    {
        if (!extensions.Contains(Path.GetExtension(path).ToLowerInvariant()))
            throw new UsageException($"{what} '{path}': the name must end in {string.Join(" or ", extensions.ToArray())}");
    }

    /// <summary>Writes a picture in the format that its name's extension says.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, ImageView image)
    {
        switch (Path.GetExtension(path).ToLowerInvariant())
        {
            case ".png":
                ImageFile.WritePng(path, image);
                break;
            case ".jpg" or ".jpeg":
                ImageFile.WriteJpeg(path, image);
                break;
            case ".ppm":
                ImageFile.WritePpm(path, image);
                break;
            default:
                throw new ArgumentException($"'{path}': no format has this extension", nameof(path));
        }
    }
}
