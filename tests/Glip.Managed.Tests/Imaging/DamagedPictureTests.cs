using Glip.Imaging.Fuzz;
using Glip.Managed.Imaging.Codecs;
using TestData = Glip.Tests.TestData;

namespace Glip.Managed.Tests.Imaging;

public class DamagedPictureTests
{
    private const long MaxMemory = 16 << 20;
    private const long UncountedMemory = 1 << 20;

    private static readonly FileMutator _mutator = new(
    [
        .. Directory.EnumerateFiles(TestData.Path("images"), "*", SearchOption.AllDirectories)
            .Where(p => Path.GetExtension(p) is ".png" or ".jpg" or ".bmp" or ".ppm" or ".pgm" or ".pbm" or ".gif")
            .Order(StringComparer.Ordinal)
            .Select(File.ReadAllBytes),
    ]);

    [Theory]
    [InlineData(0, false)]
    [InlineData(1500, true)]
    public void Damage_is_an_error_or_a_picture_within_the_limits_and_nothing_else(int first, bool allowTruncated)
    {
        var options = new ImageReadOptions { MaxPixels = 1_000_000, MaxMemoryBytes = MaxMemory, MaxScans = 30, AllowTruncated = allowTruncated };
        int decoded = 0;
        int refused = 0;
        for (int number = first; number < first + 1500; number++)
        {
            byte[] file = _mutator.Create(number);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                DecodedImage image = ImageFile.Read(file, "damaged", options);
                Assert.Equal(image.Width * image.Height * 3, image.Pixels.Length);
                decoded++;
            }
            catch (GlipFormatException e)
            {
                Assert.StartsWith("damaged: ", e.Message);
                refused++;
            }

            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MaxMemory + UncountedMemory);
        }

        Assert.True(decoded > 100 && refused > 100, $"{decoded} decoded, {refused} refused");
    }
}
