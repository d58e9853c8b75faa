namespace Glip.Tests;

/// <summary>Between the goldens' [C, H, W] and the kernels' [H, W, C].</summary>
public static class Layouts
{
    /// <summary>[C, cells] to [cells, C].</summary>
    public static float[] ToCells(ReadOnlySpan<float> planes, int channels)
    {
        int cells = planes.Length / channels;
        var result = new float[planes.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = planes[(i % channels * cells) + (i / channels)];
        return result;
    }

    /// <summary>[cells, C] to [C, cells].</summary>
    public static float[] ToPlanes(ReadOnlySpan<float> map, int channels) => ToCells(map, map.Length / channels);
}
