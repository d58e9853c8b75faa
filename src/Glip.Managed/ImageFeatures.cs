using Glip.Managed.Imaging;
using Glip.Managed.Model;

namespace Glip.Managed;

/// <summary>
/// What the image side of the network made of a picture, to be asked for any number of prompts: <see cref="GlipDetector.Encode"/> makes it,
/// <see cref="GlipDetector.Detect(ImageFeatures, Text.Prompt, DetectOptions?, CancellationToken)"/> uses it. Safe to use from many threads.
/// </summary>
/// <remarks>
/// Holds the pyramid P3 to P7, <c>cells · channels</c> floats (22.9 MB for a published model at 800×1333), and nothing of the picture itself.
/// For a model without deep fusion these are the features after the detection tower, which no prompt changes.
/// </remarks>
public sealed class ImageFeatures : IDisposable
{
    private float[]? _values;

    internal ImageFeatures(GlipModel model, in ImageGeometry geometry, Pyramid pyramid)
    {
        Model = model;
        Geometry = geometry;
        Pyramid = pyramid;
        _values = GC.AllocateUninitializedArray<float>(checked(pyramid.Cells * model.Config.Channels));
    }

    /// <summary>Sizes of the picture, as given, resized and padded.</summary>
    public ImageGeometry Geometry { get; }

    /// <summary>Memory that is held, in bytes; 0 once disposed.</summary>
    public long Bytes => (_values?.Length ?? 0) * (long)sizeof(float);

    /// <summary>Whose features they are.</summary>
    internal GlipModel Model { get; }

    /// <summary>Their levels.</summary>
    internal Pyramid Pyramid { get; }

    /// <summary>[A, C].</summary>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    internal float[] Values => _values ?? throw new ObjectDisposedException(nameof(ImageFeatures));

    /// <summary>Lets go of the memory. Calls that use it at the moment end as if it were still there.</summary>
    public void Dispose() => _values = null;
}
