using System.Runtime.InteropServices;
using System.Text;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;

namespace Glip.Tests.Detector;

/// <summary>What a source of weights can get wrong: the message names source, tensor, what was expected and what was found.</summary>
public class WeightErrorTests
{
    private const string Tensor = "rpn.head.dyhead_tower.0.b_attn.attn.l_proj.weight";

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_value_that_is_not_finite(float value)
    {
        (int[], float[]) Spoil(int[] shape, float[] values)
        {
            values[77] = value;
            return (shape, values);
        }

        AssertRefused(new SpoiltWeights { Spoil = Spoil }, Tensor, $"has {value} at element 77", "must be finite");
    }

    [Fact]
    public void A_tensor_of_another_shape() =>
        AssertRefused(new SpoiltWeights { Spoil = (shape, values) => ([shape[1], shape[0]], values) }, Tensor, "has shape [48, 128]", "expected [128, 48]");

    [Fact]
    public void A_tensor_that_is_missing() => AssertRefused(new SpoiltWeights(), Tensor, "is missing", "expected [128, 48]");

    [Fact]
    public void A_vocabulary_larger_than_the_embedding()
    {
        byte[] longer = [.. SmallModel.Vocabulary.AsSpan().TrimEnd((byte)'\n'), .. Encoding.UTF8.GetBytes("\n[one too many]\n")];
        AssertRefused(new SpoiltWeights { Words = longer, Spoil = (shape, values) => (shape, values) }, "has 3001 tokens", "embeddings for 3000");
    }

    [Fact]
    public void A_vocabulary_without_its_special_tokens() =>
        AssertRefused(new SpoiltWeights { Words = "a\nb\n"u8.ToArray(), Spoil = (shape, values) => (shape, values) }, "[PAD]");

    private static void AssertRefused(SpoiltWeights weights, params string[] parts)
    {
        var refused = Assert.Throws<GlipFormatException>(() => GlipDetector.Load(weights, new GlipOptions { Threads = 2 }));
        Assert.All([.. parts, weights.Name], part => Assert.Contains(part, refused.Message, StringComparison.Ordinal));
        Assert.True(weights.IsDisposed);
    }

    /// <summary>The small model with one tensor changed or, without <see cref="Spoil"/>, left out.</summary>
    private sealed class SpoiltWeights : WeightSource
    {
        private readonly WeightSource _whole = SmallModel.Weights();

        public Func<int[], float[], (int[] Shape, float[] Values)>? Spoil { get; init; }

        public byte[] Words { get; init; } = SmallModel.Vocabulary;

        public bool IsDisposed { get; private set; }

        public override string Name => "spoilt weights";

        public override GlipConfig Config => _whole.Config;

        public override ReadOnlyMemory<byte> Vocabulary => Words;

        public override IReadOnlyCollection<string> TensorNames => _whole.TensorNames;

        public override bool TryGetTensor(string name, out WeightTensor tensor)
        {
            bool found = _whole.TryGetTensor(name, out tensor);
            if (name != Tensor)
                return found;
            if (Spoil is null)
                return false;
            var (shape, values) = Spoil(tensor.Shape.ToArray(), MemoryMarshal.Cast<byte, float>(tensor.Bytes).ToArray());
            tensor = new WeightTensor(name, TensorType.F32, shape, MemoryMarshal.AsBytes(values.AsSpan()));
            return true;
        }

        protected override void Dispose(bool disposing) => IsDisposed = true;
    }
}
