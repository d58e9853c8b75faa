using System.CommandLine;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Cli;

/// <summary><c>glip decode IN OUT</c>: shows what the detector sees of a picture file.</summary>
internal static class DecodeCommand
{
    public static Command Create(CommandContext context)
    {
        var input = new Argument<string>("IN") { Description = PictureFile.Description };
        var output = new Argument<string>("OUT") { Description = "The file to write, .ppm or .png." };
        var command = new Command("decode", "Writes a picture as the detector sees it: 8-bit RGB, turned upright, without transparency.") { input, output };
        command.SetAction(parsed => Run(context, parsed.GetRequiredValue(input), parsed.GetRequiredValue(output)));
        return command;
    }

    private static int Run(CommandContext context, string inputPath, string outputPath)
    {
        InputPath.Check(inputPath, "picture");
        PictureFile.CheckExtension(outputPath, "OUT", ".ppm", ".png");
        OutputPath.Check(outputPath, "decoded picture", inputPath);
        DecodedImage image = ImageFile.Read(inputPath);
        PictureFile.Write(outputPath, image.View);
        string turned = image.Orientation == 1 ? "" : $", EXIF orientation {image.Orientation} applied";
        context.Out.WriteLine($"wrote {outputPath}: {image.Width}x{image.Height} from {image.Format}{turned}");
        return GlipCommandLine.Success;
    }
}
