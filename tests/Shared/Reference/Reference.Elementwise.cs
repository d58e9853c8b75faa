namespace Glip.Tests;

public static partial class Reference
{
    /// <summary>x · Φ(x).</summary>
    public static double Gelu(double x) => 0.5 * x * Erfc(-x / Math.Sqrt(2));

    /// <summary>1 / (1 + e^−x).</summary>
    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>clamp(x + 3, 0, 6) / 6.</summary>
    public static double HardSigmoid(double x) => Math.Clamp(x + 3, 0, 6) / 6;

    /// <summary>max(x, 0).</summary>
    public static double Relu(double x) => Math.Max(x, 0);

    /// <summary>Complementary error function, relative error under 1e-12.</summary>
    public static double Erfc(double x)
    {
        if (x < 0)
            return 2 - Erfc(-x);
        double gauss = Math.Exp(-x * x) / Math.Sqrt(Math.PI);
        if (x < 2)
        {
            // erf by its series of positive terms: Σ 2^n x^(2n+1) / (1·3·…·(2n+1)).
            double term = x, sum = x;
            for (int n = 1; term > sum * 1e-18; n++)
            {
                term *= 2 * x * x / ((2 * n) + 1);
                sum += term;
            }

            return 1 - (2 * gauss * sum);
        }

        // Laplace's continued fraction, from the back: 1/(x + ½/(x + 1/(x + 3/2/(x + …)))).
        double tail = x;
        for (int n = 100; n >= 1; n--)
            tail = x + (n / 2.0 / tail);
        return gauss / tail;
    }
}
