using System.Text;
using Glip.Kernels;
using Glip.Managed;
using Glip.Managed.Model;
using Glip.Managed.Weights;
using Glip.WeightsTools;
using Glip.WeightsTools.Tensors;
using Glip.WeightsTools.Verification;

namespace Glip.Tests;

/// <summary>A model file that carries recordings of the original proves itself, and betrays a wrong weight at the stage that has it.</summary>
public sealed class VerificationTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("glip-");

    private static GlipOptions Options => new() { Isa = SimdIsas.Best.Name(), Threads = 2 };

    [Theory]
    [InlineData("c0_full", 66)] // padded to 256 tokens
    [InlineData("c2_tall_list", 30)]
    [InlineData("c6_truncated_256", 16)]
    public void A_converted_model_agrees_with_the_recording_that_it_carries(string golden, int stages)
    {
        foreach (TensorType type in (TensorType[])[TensorType.F32, TensorType.F16, TensorType.BF16])
        {
            string model = Convert(golden, type);
            using (TensorFile file = TensorFile.Open(model))
            {
                StageRecording recording = StageRecording.FromModel(file)!;
                Assert.All(recording.Stages, s => Assert.InRange(s.Samples.Length, 1, 64));
                IReadOnlyList<StageCheck> results = ModelVerifier.Compare(model, recording, Options);
                Assert.Equal(stages, results.Count);
                Assert.All(results, r => Assert.Null(r.Problem));
                if (type != TensorType.F32)
                    Assert.Contains(results, r => r.Error > 1e-4); // the tolerance is needed
            }

            File.Delete(model);
        }
    }

    [Theory]
    [InlineData("backbone.fpn.fpn_layer3.bias", "fpn.P4")]
    [InlineData("language_backbone.body.model.encoder.layer.1.output.dense.weight", "bert.layer.1")]
    [InlineData("rpn.head.bias0", "head.dot_product_logits.P3")]
    public void The_first_stage_that_disagrees_is_that_of_the_wrong_weight(string tensor, string stage)
    {
        string model = Convert("c1_oddsize_single", TensorType.F32);
        Spoil(model, tensor);
        using TensorFile file = TensorFile.Open(model);
        StageCheck first = ModelVerifier.Compare(model, StageRecording.FromModel(file)!, Options).First(r => r.Problem is not null);
        Assert.Equal(stage, first.Name);
        Assert.Contains("of its largest value at element", first.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_commands_store_and_verify()
    {
        string model = Path.Combine(_folder.FullName, "m.safetensors"), again = Path.Combine(_folder.FullName, "again.safetensors");
        string golden = TestData.Path("micro_b", "c3_wide_sentence.safetensors");
        await Run(0, "convert", TestData.Path("micro_b", "micro_b.pth"), "--config", TestData.Path("micro_b", "config.json"),
            "--vocab", TestData.Path("vocab_micro_3000.txt"), "--out", model);
        Assert.Contains("has no recorded stages of its own", await Run(1, "verify", model), StringComparison.Ordinal);
        Assert.Contains("verified: all ", await Run(0, "verify", model, "--against", golden), StringComparison.Ordinal);

        await Run(0, "convert", model, "--out", again, "--golden", golden, "--dtype", "f16");
        Assert.Contains("verified: all ", await Run(0, "verify", again), StringComparison.Ordinal);
        Spoil(again, "rpn.head.bbox_pred.bias");
        Assert.Contains("the first stage that disagrees is head.bbox_reg.P3: off by ", await Run(1, "verify", again), StringComparison.Ordinal);
        Assert.Contains("not a recording of stages", await Run(1, "verify", model, "--against", model), StringComparison.Ordinal);
        await Run(2, "verify", again, "--isa", "mmx");
    }

    [Fact]
    public void Another_vocabulary_shows_at_the_tokens()
    {
        string words = File.ReadAllText(TestData.Path("vocab_micro_3000.txt"));
        string path = Path.Combine(_folder.FullName, "vocab.txt");
        File.WriteAllText(path, words.Replace("\ndog\n", "\ngod\n", StringComparison.Ordinal), new UTF8Encoding(false));
        string model = Convert("c0_full", TensorType.F32, path);
        using TensorFile file = TensorFile.Open(model);
        StageCheck first = ModelVerifier.Compare(model, StageRecording.FromModel(file)!, Options).First(r => r.Problem is not null);
        Assert.Equal("text.input_ids", first.Name);
        Assert.Contains("is this the checkpoint's vocabulary?", first.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Samples_are_spread_over_the_real_tokens_only()
    {
        float[] values = [.. Enumerable.Range(0, 5 * 40).Select(i => (float)i)];
        RecordedStage stage = StageRecording.Record("lang.hidden", values, [1, 5, 40], tokens: 4, allElements: false);
        Assert.Equal([1, 4, 40], stage.Shape);
        Assert.Equal(159, stage.Largest);
        Assert.Equal(3, stage.Step);
        Assert.Equal([0f, 3, 6], stage.Samples[..3]);
        Assert.Equal(54, stage.Samples.Length);

        RecordedStage logits = StageRecording.Record("head.dot_product_logits.P7", values, [1, 5, 40], tokens: 2, allElements: true);
        Assert.Equal([0f, 1, 40, 41, 80, 81, 120, 121, 160, 161], logits.Samples);
        Assert.Equal([1, 5, 40], StageRecording.Record("fpn.flat", values, [1, 5, 40], tokens: 2, allElements: true).Shape);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private string Convert(string golden, TensorType type, string? vocabulary = null)
    {
        string target = Path.Combine(_folder.FullName, $"{golden}-{type}.safetensors");
        CheckpointConverter.Convert(new()
        {
            Source = TestData.Path("micro_b", "micro_b.pth"),
            Config = GlipConfig.Parse(File.ReadAllBytes(TestData.Path("micro_b", "config.json")), "micro_b"),
            VocabularyPath = vocabulary ?? TestData.Path("vocab_micro_3000.txt"),
            GoldenPath = TestData.Path("micro_b", golden + ".safetensors"),
            Target = target,
            Type = type,
        });
        return target;
    }

    /// <summary>Turns the sign of a tensor's first element.</summary>
    private static void Spoil(string model, string tensor)
    {
        byte[] bytes = File.ReadAllBytes(model);
        using (SafetensorsFile file = SafetensorsFile.Open(model))
        {
            long data = file.Length - file.Entries.Max(e => e.Offset + e.ByteCount);
            SafetensorsEntry entry = file.Entries.Single(e => e.Name == tensor);
            int last = (int)(data + entry.Offset + entry.Type.ByteSize() - 1);
            bytes[last] ^= 0x80; // the sign
        }

        File.WriteAllBytes(model, bytes);
    }

    private static async Task<string> Run(int code, params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int found = await WeightsCommandLine.RunAsync(arguments, output, error);
        Assert.True(code == found, error.ToString());
        return output.ToString() + error;
    }
}
