namespace Glip.Tests;

/// <summary>Reproducible test values.</summary>
public static class Noise
{
    /// <summary><paramref name="count"/> values in [−amplitude, amplitude) around <paramref name="center"/>.</summary>
    public static float[] Uniform(int seed, int count, float amplitude = 1, float center = 0)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = center + (amplitude * ((2 * random.NextSingle()) - 1));
        return values;
    }
}
