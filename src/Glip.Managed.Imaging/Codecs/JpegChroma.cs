namespace Glip.Managed.Imaging.Codecs;

/// <summary>How finely a written JPEG keeps colors; brightness is always kept at full size.</summary>
public enum JpegChroma
{
    /// <summary>One color sample for each 2×2 pixels (4:2:0): the usual choice, about a third smaller.</summary>
    Half,

    /// <summary>One color sample a pixel (4:4:4): for drawings and text.</summary>
    Full,
}
