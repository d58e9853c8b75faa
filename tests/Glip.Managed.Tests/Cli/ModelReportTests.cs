using Glip.Cli;
using Glip.Managed.Model;
using Glip.Managed.Weights;

namespace Glip.Managed.Tests.Cli;

public class ModelReportTests
{
    [Fact]
    public void Counts_parameters_by_part_types_and_tokens()
    {
        using var source = new FewTensors();
        using var output = new StringWriter();

        ModelReport.Of(source, CancellationToken.None).WriteTo(output);

        string text = output.ToString();
        Assert.Contains("few.safetensors (glip-l)", text);
        Assert.Contains("width 192, blocks 2-2-18-2", text);
        Assert.Contains("3 tokens in the vocabulary", text);
        Assert.Contains("shorter side 800, longer side at most 1333", text);
        Assert.Matches(@"tensors +4 \(3 F32, 1 F16\)", text);
        Assert.Matches(@"parameters +1,208", text);
        Assert.Matches(@"image backbone +1,200", text);
        Assert.Matches(@"feature pyramid +0", text);
        Assert.Matches(@"tower +5", text);
        Assert.Matches(@"head +1\b", text);
    }

    [Fact]
    public void Stops_when_cancelled()
    {
        using var source = new FewTensors();

        Assert.Throws<OperationCanceledException>(() => ModelReport.Of(source, new CancellationToken(canceled: true)));
    }

    private sealed class FewTensors : WeightSource
    {
        private readonly Dictionary<string, (TensorType Type, int[] Shape)> _tensors = new()
        {
            ["backbone.body.patch_embed.proj.weight"] = (TensorType.F16, [30, 40]),
            ["language_backbone.body.model.x"] = (TensorType.F32, [1, 2]),
            ["rpn.head.dyhead_tower.0.x"] = (TensorType.F32, [5]),
            ["rpn.head.log_scale"] = (TensorType.F32, []),
        };

        public override string Name => "few.safetensors";

        public override GlipConfig Config => GlipConfig.Published("glip-l");

        public override ReadOnlyMemory<byte> Vocabulary => "a\nb\nc"u8.ToArray();

        public override IReadOnlyCollection<string> TensorNames => _tensors.Keys;

        public override bool TryGetTensor(string name, out WeightTensor tensor)
        {
            bool found = _tensors.TryGetValue(name, out (TensorType Type, int[] Shape) value);
            tensor = found ? new WeightTensor(name, value.Type, value.Shape, []) : default;
            return found;
        }
    }
}
