namespace Glip.Managed.Imaging.Drawing;

/// <summary>Cuts detections out of their picture.</summary>
public static class ImageViewCrop
{
    /// <summary>The part of a picture inside a box, of the same pixels: nothing is copied.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="box">In pixels of that picture, corners included; rounded to whole pixels and clipped to the picture.</param>
    /// <returns>At least one pixel, also where the box lies outside.</returns>
    public static ImageView Crop(this ImageView image, Box box)
    {
        var rect = PixelRect.Of(box, factor: 1, image.Width, image.Height);
        int start = checked(rect.Top * image.Stride + rect.Left * image.Format.BytesPerPixel());
        return new ImageView(image.Pixels[start..], rect.Width, rect.Height, image.Format, image.Stride);
    }
}
