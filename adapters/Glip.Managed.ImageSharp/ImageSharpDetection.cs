using System.Runtime.InteropServices;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Imaging.Drawing;
using Glip.Managed.Text;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.PixelFormats;
using SixLabors.ImageSharp.Processing;

namespace Glip.Managed.ImageSharp;

/// <summary>Detection on pictures of SixLabors.ImageSharp. Of a picture with several frames, the first one is searched.</summary>
public static class ImageSharpDetection
{
    /// <summary>Finds the prompt's phrases in a picture. See <see cref="GlipDetector.Detect"/>.</summary>
    /// <remarks>
    /// Nothing is copied if the pixels are <see cref="Rgb24"/>, <see cref="Bgr24"/>, <see cref="Rgba32"/>, <see cref="Bgra32"/> or
    /// <see cref="L8"/> and lie in one piece, as those of all but very large pictures do. Other pixels are converted to <see cref="Rgb24"/>. The
    /// picture must not be changed or disposed during the call.
    /// </remarks>
    /// <param name="detector">The detector.</param>
    /// <param name="image">The picture, upright: see <see cref="AutoOrient"/>. Alpha is ignored.</param>
    /// <param name="prompt">Phrases, or a sentence such as <c>"person . red car . umbrella"</c>.</param>
    /// <param name="options">Threshold and sizes; null for the model's defaults.</param>
    /// <param name="cancellationToken">Ends the call early, between layers.</param>
    /// <returns>Detections above the threshold, best first, in pixels of <paramref name="image"/>. May be empty.</returns>
    public static IReadOnlyList<Detection> Detect<TPixel>(
        this GlipDetector detector, Image<TPixel> image, Prompt prompt, DetectOptions? options = null, CancellationToken cancellationToken = default)
        where TPixel : unmanaged, IPixel<TPixel>
    {
        ArgumentNullException.ThrowIfNull(detector);
        ArgumentNullException.ThrowIfNull(image);
        if (FormatOf<TPixel>() is not { } format)
        {
            using Image<Rgb24> rgb = image.CloneAs<Rgb24>();
            return Detect(detector, rgb, prompt, options, cancellationToken);
        }

        var view = new ImageView(Pixels(image), image.Width, image.Height, format);
        IReadOnlyList<Detection> detections = detector.Detect(view, prompt, options, cancellationToken);

        // The view does not keep the picture's memory from being finalized, the picture does.
        GC.KeepAlive(image);
        return detections;
    }

    /// <summary>Turns a picture upright as its EXIF orientation asks, in place, so that people and the detector see the same.</summary>
    public static void AutoOrient<TPixel>(this Image<TPixel> image)
        where TPixel : unmanaged, IPixel<TPixel>
    {
        ArgumentNullException.ThrowIfNull(image);
        image.Mutate(context => context.AutoOrient());
    }

    /// <summary>Draws detections on a picture, in place: a frame each, with phrase and score. The picture becomes opaque.</summary>
    /// <param name="image">The picture that was searched.</param>
    /// <param name="detections">What was found, in that picture's pixels.</param>
    public static void DrawDetections<TPixel>(this Image<TPixel> image, IReadOnlyList<Detection> detections)
        where TPixel : unmanaged, IPixel<TPixel>
    {
        ArgumentNullException.ThrowIfNull(image);
        using Image<Rgb24> rgb = image.CloneAs<Rgb24>();
        var view = new ImageView(Pixels(rgb), rgb.Width, rgb.Height, PixelFormat.Rgb24);
        DecodedImage painted = DetectionPainter.Paint(view, detections, enlargeSmall: false);
        using Image<Rgb24> drawing = Image.LoadPixelData<Rgb24>(painted.Pixels, painted.Width, painted.Height);
        image.Mutate(context => context.DrawImage(drawing, opacity: 1));
    }

    private static PixelFormat? FormatOf<TPixel>()
    {
        if (typeof(TPixel) == typeof(Rgb24))
            return PixelFormat.Rgb24;
        if (typeof(TPixel) == typeof(Bgr24))
            return PixelFormat.Bgr24;
        if (typeof(TPixel) == typeof(Rgba32))
            return PixelFormat.Rgba32;
        if (typeof(TPixel) == typeof(Bgra32))
            return PixelFormat.Bgra32;
        return typeof(TPixel) == typeof(L8) ? PixelFormat.Gray8 : null;
    }

    /// <summary>The pixels where they lie, or a copy if they lie in several pieces.</summary>
    private static ReadOnlySpan<byte> Pixels<TPixel>(Image<TPixel> image)
        where TPixel : unmanaged, IPixel<TPixel>
    {
        if (image.DangerousTryGetSinglePixelMemory(out Memory<TPixel> pixels))
            return MemoryMarshal.AsBytes(pixels.Span);
        var copy = new TPixel[checked(image.Width * image.Height)];
        image.CopyPixelDataTo(copy);
        return MemoryMarshal.AsBytes<TPixel>(copy);
    }
}
