namespace Glip.Managed;

/// <summary>Model files are little-endian and are read in place.</summary>
internal static class Endianness
{
    /// <exception cref="PlatformNotSupportedException">The processor is big-endian.</exception>
    public static void RequireLittle(bool isLittleEndian)
    {
        if (!isLittleEndian)
            throw new PlatformNotSupportedException("this processor is big-endian; model files are little-endian and are read as they are, so that only little-endian processors can run them");
    }
}
