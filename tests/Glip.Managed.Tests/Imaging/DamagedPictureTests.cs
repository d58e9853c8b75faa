using Glip.Imaging.Fuzz;
using Glip.Managed.Imaging.Codecs;
using TestData = Glip.Tests.TestData;

namespace Glip.Managed.Tests.Imaging;

public class DamagedPictureTests
{
    private const long MaxMemory = 16 << 20;
    private const long UncountedMemory = 1 << 20;

    private static readonly DamagedPictures s_pictures = new(TestData.Path("images"));

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
            byte[] file = s_pictures.Create(number);
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
