namespace Glip.Managed.Postprocessing;

/// <summary>The anchors of a pyramid level: one square a cell, computed where it is needed instead of being stored.</summary>
internal static class AnchorGenerator
{
    /// <summary>The anchor of a cell, in pixels of the resized image, with the inclusive convention: width is <c>X2 − X1 + 1</c>.</summary>
    /// <param name="scale">Side of the anchor in strides (<see cref="Model.GlipConfig.AnchorScale"/>).</param>
    /// <param name="stride">Pixels a cell.</param>
    /// <param name="y">Row of the cell.</param>
    /// <param name="x">Column of the cell.</param>
    /// <remarks>
    /// The cell's own square, pixels 0…stride − 1, is grown about its centre (stride − 1) / 2 to a side of scale · stride. So at scale 8
    /// the first anchor is −3.5 … 4.5 strides, less a pixel at the far end. The centre is not on a cell's middle but half a pixel off;
    /// trained weights expect exactly that.
    /// </remarks>
    public static Box At(float scale, int stride, int y, int x)
    {
        // Rounded to float before the cell is added, as stored cell anchors are.
        float near = (float)(0.5 * stride * (1.0 - scale));
        float far = (float)((0.5 * stride * (1.0 + scale)) - 1);
        float left = x * stride, top = y * stride;
        return new Box(left + near, top + near, left + far, top + far);
    }
}
