using Glip.Managed.Model;

namespace Glip.Managed.Postprocessing;

/// <summary>The numbers that steer selection.</summary>
internal sealed record AtssSettings
{
    /// <summary>Side of an anchor in strides.</summary>
    public float AnchorScale { get; init; } = 8;

    /// <summary>Candidates need a class probability strictly above this, 0…1.</summary>
    public float InferenceThreshold { get; init; } = 0.05f;

    /// <summary>Candidates kept per level; at least 1.</summary>
    public int PreNmsTopN { get; init; } = 1000;

    /// <summary>Overlap above which the weaker box of a label is dropped.</summary>
    public float NmsThreshold { get; init; } = 0.6f;

    /// <summary>Detections kept per image, ties aside; at least 1.</summary>
    public int DetectionsPerImage { get; init; } = 100;

    /// <summary>The settings of a model.</summary>
    public static AtssSettings Of(GlipConfig config) => new()
    {
        AnchorScale = config.AnchorScale,
        InferenceThreshold = config.InferenceThreshold,
        PreNmsTopN = config.PreNmsTopN,
        NmsThreshold = config.NmsThreshold,
        DetectionsPerImage = config.DetectionsPerImage,
    };
}
