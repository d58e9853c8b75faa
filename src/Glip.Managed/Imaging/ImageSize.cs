namespace Glip.Managed.Imaging;

/// <summary>The rule by which a picture's size becomes the model's input size.</summary>
public static class ImageSize
{
    /// <summary>Size to resize a picture to.</summary>
    /// <param name="height">Rows of the picture, at least 1.</param>
    /// <param name="width">Columns of the picture, at least 1.</param>
    /// <param name="minSize">Length that the shorter side shall have; 0 leaves the picture as it is, whatever the cap.</param>
    /// <param name="maxSize">
    /// Cap on the longer side; 0 for none (the original's demo has none, its evaluation uses 1333). The capped shorter side is
    /// rounded, so the longer one can exceed the cap by the few pixels that the original exceeds it by.
    /// </param>
    /// <returns>Rows and columns, at least 1 each.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is out of range, or the target is longer than an int can say.</exception>
    public static (int Height, int Width) Target(int height, int width, int minSize, int maxSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(minSize);
        ArgumentOutOfRangeException.ThrowIfNegative(maxSize);
        if (minSize == 0)
            return (height, width);

        int shorter = Math.Min(height, width);
        int longer = Math.Max(height, width);
        int target = minSize;
        long longerCap = long.MaxValue;
        if (maxSize != 0 && (double)longer / shorter * minSize > maxSize)
        {
            // Math.Round goes half to even, as Python's round.
            target = (int)Math.Round((double)maxSize * shorter / longer);
            if (target == 0)
            {
                // A picture more than twice maxSize times as long as wide. The original fails here; the least distorted
                // picture that respects the cap is one pixel wide and as long as allowed.
                target = 1;
                longerCap = maxSize;
            }
        }

        // Integer division equals the original's truncated real quotient while the product is below 2^53.
        long longerTarget = target == shorter ? longer : (long)target * longer / shorter;
        longerTarget = Math.Min(longerTarget, longerCap);
        if (longerTarget > int.MaxValue)
            throw new ArgumentOutOfRangeException(nameof(minSize), minSize, $"resizing {width}x{height} so that the shorter side is {target} gives a longer side of {longerTarget}");
        return height <= width ? (target, (int)longerTarget) : ((int)longerTarget, target);
    }
}
