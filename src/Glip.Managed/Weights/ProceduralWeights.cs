using System.Runtime.InteropServices;
using System.Text;
using Glip.Managed.Model;

namespace Glip.Managed.Weights;

/// <summary>
/// Weights by formula: every element follows from the parameter's name, a seed and the element's index. Models of real size
/// can so be run, timed and compared between programs without a file. They detect nothing sensible.
/// </summary>
/// <remarks>
/// Nothing is kept: each <see cref="TryGetTensor"/> makes its tensor anew (about five nanoseconds an element). The bytes
/// belong to the garbage collector, so they outlive this object.
/// </remarks>
public sealed class ProceduralWeights : WeightSource
{
    private const ulong GoldenGamma = 0x9E3779B97F4A7C15;

    private static readonly string[] Norms = ["norm", "norm1", "norm2", "norm3", "LayerNorm", "layer_norm_v", "layer_norm_l", "bn"];

    /// <summary>Spread of a parameter's values: the first rule with a matching end of the name counts.</summary>
    private static readonly Rule[] Rules =
    [
        new(["relative_position_bias_table"], 0, _ => 0.6),
        new([.. Norms.Select(n => n + ".weight")], 1, _ => 0.3),
        new([.. Norms.Select(n => n + ".bias")], 0, _ => 0.2),
        new(["gamma_v", "gamma_l"], 0.3f, _ => 0.15),
        new(["embeddings.word_embeddings.weight"], 0, _ => 0.06),
        new(["embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"], 0, _ => 0.03),
        new([.. Enumerable.Range(0, 5).Select(level => $"head.scales.{level}.scale")], 1, _ => 0.2),
        new(["head.log_scale"], 0.2f, _ => 0.1),
        new(["head.bias0"], -3, _ => 0.1),
        new(["head.bias_lang"], 0, _ => 1),
        new(["head.dot_product_projection_text.weight"], 0, shape => 12 * Math.Sqrt(3.0 / shape[0])),
        new(["head.bbox_pred.weight"], 0, FanIn(4)),
        new(["AttnConv.1.weight"], 0, FanIn(3)),
        new([".offset.weight"], 0, FanIn(1)),
        new([".relu.fc.0.weight", ".relu.fc.2.weight"], 0, FanIn(3)),
        new(["attn.qkv.weight", "self.query.weight", "self.key.weight", "attn.v_proj.weight", "attn.l_proj.weight"], 0, FanIn(1.4)),
        new([".bias"], 0, _ => 0.1),
        new([""], 0, FanIn(1)),
    ];

    private readonly long _seed;
    private readonly Dictionary<string, int[]> _shapes;

    /// <summary>Describes a model; no weight is made yet.</summary>
    /// <param name="config">The model's sizes.</param>
    /// <param name="seed">Different seeds give unrelated weights.</param>
    /// <param name="vocabulary">UTF-8 text, one token a line, no more lines than the configuration has tokens.</param>
    /// <exception cref="ArgumentException"><paramref name="vocabulary"/> has too many tokens.</exception>
    /// <exception cref="GlipFormatException"><paramref name="config"/> asks for sizes that no tensor can have.</exception>
    public ProceduralWeights(GlipConfig config, long seed, ReadOnlyMemory<byte> vocabulary)
    {
        ArgumentNullException.ThrowIfNull(config);
        int tokens = VocabularyText.CountTokens(vocabulary.Span);
        if (tokens > config.Bert.VocabularySize)
            throw new ArgumentException($"the model has {config.Bert.VocabularySize} tokens, the vocabulary {tokens}", nameof(vocabulary));
        Config = config;
        Vocabulary = vocabulary;
        _seed = seed;
        _shapes = ParameterList.Of(config).ToDictionary(p => p.Name, p => p.Shape, StringComparer.Ordinal);
    }

    /// <inheritdoc/>
    public override string Name => $"procedural:{Config.Name}:{_seed}";

    /// <inheritdoc/>
    public override GlipConfig Config { get; }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> Vocabulary { get; }

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> TensorNames => _shapes.Keys;

    /// <inheritdoc/>
    public override bool TryGetTensor(string name, out WeightTensor tensor)
    {
        if (!_shapes.TryGetValue(name, out int[]? shape))
        {
            tensor = default;
            return false;
        }

        int bytes = TensorType.F32.ByteCount(shape);
        if (bytes < 0)
            throw new GlipFormatException($"{Name}: tensor '{name}': {DisplayText.Shape(shape)} is over the limit of {int.MaxValue} bytes");
        var values = GC.AllocateUninitializedArray<float>(bytes / sizeof(float));
        Fill(name, shape, _seed, values);
        tensor = new WeightTensor(name, TensorType.F32, shape, MemoryMarshal.AsBytes(values.AsSpan()));
        return true;
    }

    /// <inheritdoc/>
    public override bool TryDescribe(string name, out TensorType type, out ReadOnlySpan<int> shape)
    {
        bool found = _shapes.TryGetValue(name, out int[]? dimensions);
        type = TensorType.F32;
        shape = dimensions;
        return found;
    }

    /// <summary>Writes a parameter's values in row-major order.</summary>
    internal static void Fill(string name, int[] shape, long seed, Span<float> values)
    {
        Rule rule = Rules.First(r => r.Matches(name));
        float amplitude = (float)rule.Amplitude(shape);
        float mean = rule.Mean;
        ulong state = Mix(Fnv1a(name) ^ unchecked((ulong)seed * GoldenGamma));
        for (int i = 0; i < values.Length; i++)
        {
            state += GoldenGamma;
            // 24 random bits to [-1, 1): every step up to the multiplication is exact.
            float u = (int)(Mix(state) >> 40) * (1f / (1 << 23)) - 1f;
            float value = u * amplitude;
            values[i] = mean == 0 ? value : value + mean;
        }
    }

    /// <summary>A parameter's starting state of the generator.</summary>
    internal static ulong Fnv1a(string name)
    {
        ulong hash = 0xCBF29CE484222325;
        foreach (byte b in Encoding.UTF8.GetBytes(name))
            hash = (hash ^ b) * 0x100000001B3;
        return hash;
    }

    /// <summary>The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).</summary>
    internal static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Values whose spread keeps activations near the size of their inputs: uniform with variance gain²/fan.</summary>
    private static Func<int[], double> FanIn(double gain) => shape =>
    {
        double fan = 1;
        for (int i = 1; i < shape.Length; i++)
            fan *= shape[i];
        return gain * Math.Sqrt(3.0 / fan);
    };

    private sealed record Rule(string[] Ends, float Mean, Func<int[], double> Amplitude)
    {
        public bool Matches(string name) => Ends.Any(end => name.EndsWith(end, StringComparison.Ordinal));
    }
}
