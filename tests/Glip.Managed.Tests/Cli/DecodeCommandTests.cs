using System.Text;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;

namespace Glip.Managed.Tests.Cli;

public class DecodeCommandTests
{
    [Fact]
    public void Writes_a_binary_ppm()
    {
        using var command = new CommandRun();
        ImageFile.WritePng(command.File("two.png"), new ImageView([1, 2, 3, 4, 5, 6], 2, 1, PixelFormat.Rgb24));

        Assert.Equal(0, command.Run("decode", command.File("two.png"), command.File("two.PPM")));

        Assert.Equal([.. Encoding.ASCII.GetBytes("P6\n2 1\n255\n"), 1, 2, 3, 4, 5, 6], File.ReadAllBytes(command.File("two.PPM")));
        Assert.Equal($"wrote {command.File("two.PPM")}: 2x1 from Png", command.Out.TrimEnd());
        Assert.Empty(command.Error);
    }

    [Theory]
    [InlineData("seen.ppm")]
    [InlineData("seen.png")]
    public void Nothing_is_lost_on_the_way(string name)
    {
        using var command = new CommandRun();
        byte[] pixels = [.. Enumerable.Range(0, 17 * 13 * 3).Select(i => (byte)(i * i % 253))];
        ImageFile.WriteJpeg(command.File("photo.jpg"), new ImageView(pixels, 17, 13, PixelFormat.Rgb24));

        Assert.Equal(0, command.Run("decode", command.File("photo.jpg"), command.File(name)));

        DecodedImage seen = ImageFile.Read(command.File(name));
        Assert.Equal((17, 13), (seen.Width, seen.Height));
        Assert.Equal(ImageFile.Read(command.File("photo.jpg")).Pixels, seen.Pixels);
    }

    [Fact]
    public void Files_that_are_no_pictures_leave_nothing()
    {
        using var command = new CommandRun();
        File.WriteAllText(command.File("text.jpg"), "no picture");

        Assert.Equal(1, command.Run("decode", command.File("text.jpg"), command.File("out.png")));

        Assert.Contains($"{command.File("text.jpg")}: expected a PNG, JPEG", command.Error);
        Assert.False(File.Exists(command.File("out.png")));
    }

    [Fact]
    public void Missing_files_and_folders_are_named()
    {
        using var command = new CommandRun();

        Assert.Equal(1, command.Run("decode", command.File("gone.png"), command.File("out.png")));
        Assert.Contains("the picture does not exist", command.Error);
        Assert.Equal(1, command.Run("decode", command.File("cat.png"), command.File("gone/out.png")));
        Assert.Contains("the folder to write to does not exist", command.Error);
    }
}
