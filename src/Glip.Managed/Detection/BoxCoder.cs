using Glip.Kernels;

namespace Glip.Managed.Postprocessing;

/// <summary>Turns the head's box regression into boxes. Widths are inclusive: <c>X2 − X1 + 1</c>.</summary>
internal static class BoxCoder
{
    private const float CentreWeight = 10;
    private const float SizeWeight = 5;

    /// <summary>ln(1000/16): a box grows to at most 62.5 anchors, so that exp cannot overflow.</summary>
    private const float LargestLogSize = 4.135166556742356f;

    /// <summary>Applies four deltas (centre x, centre y, log width, log height) to an anchor.</summary>
    /// <remarks>In the original's order of operations, each rounded to float: equal input gives equal boxes up to exp's last bit.</remarks>
    public static Box Decode(Box anchor, ReadOnlySpan<float> deltas)
    {
        float width = anchor.X2 - anchor.X1 + 1;
        float height = anchor.Y2 - anchor.Y1 + 1;
        float centreX = ((deltas[0] / CentreWeight) * width) + ((anchor.X2 + anchor.X1) / 2);
        float centreY = ((deltas[1] / CentreWeight) * height) + ((anchor.Y2 + anchor.Y1) / 2);

        // MathF.Min keeps a NaN, and so does the original's clamp.
        float halfX = 0.5f * ((PortableMath.Exp(MathF.Min(deltas[2] / SizeWeight, LargestLogSize)) * width) - 1);
        float halfY = 0.5f * ((PortableMath.Exp(MathF.Min(deltas[3] / SizeWeight, LargestLogSize)) * height) - 1);
        return new Box(centreX - halfX, centreY - halfY, centreX + halfX, centreY + halfY);
    }

    /// <summary>Moves the corners into an image of that size: x to 0…width − 1, y to 0…height − 1. NaN stays NaN.</summary>
    public static Box Clip(Box box, int height, int width) => new(
        Clamp(box.X1, width - 1), Clamp(box.Y1, height - 1), Clamp(box.X2, width - 1), Clamp(box.Y2, height - 1));

    /// <summary>False if a corner is NaN.</summary>
    public static bool IsNumber(Box box) => !float.IsNaN(box.X1) && !float.IsNaN(box.Y1) && !float.IsNaN(box.X2) && !float.IsNaN(box.Y2);

    private static float Clamp(float value, float largest) => MathF.Min(MathF.Max(value, 0), largest);
}
