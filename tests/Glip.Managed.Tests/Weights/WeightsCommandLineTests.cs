using System.Runtime.InteropServices;
using Glip.Tests.Weights.Torch;
using Glip.Weights.Fuzz;
using Glip.WeightsTools;
using static Glip.Tests.Weights.TinyModel;

namespace Glip.Tests.Weights;

public sealed class WeightsCommandLineTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly StringWriter _output = new();
    private readonly StringWriter _error = new();
    private readonly string _checkpoint;
    private readonly string _config;
    private readonly string _vocabulary;

    public WeightsCommandLineTests()
    {
        _checkpoint = _folder.Write("x.pth", Checkpoint(Tensors()));
        _config = _folder.Write("config.json", Config.ToJson());
        _vocabulary = _folder.Write("vocab.txt", VocabularyBytes);
    }

    private string Target => _folder.File("out.safetensors");

    public void Dispose()
    {
        _folder.Dispose();
        _output.Dispose();
        _error.Dispose();
    }

    [Fact]
    public async Task Convert_says_what_it_wrote_and_inspect_what_is_in_it()
    {
        Assert.Equal(0, await Run("convert", _checkpoint, "--config", _config, "--vocab", _vocabulary, "--out", Target, "--dtype", "f16"));
        Assert.Contains($"wrote {Target}: {Tensors().Count} tensors, F16, ", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("rounding changed no value by more than", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("not read: 'optimizer'", _output.ToString(), StringComparison.Ordinal);

        Assert.Equal(0, await Run("inspect", Target));
        Assert.Contains("model           tiny", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal("", _error.ToString());
    }

    [Fact]
    public async Task Convert_lists_what_it_left_out()
    {
        string source = _folder.Write("y.pth", Checkpoint(
        [
            .. Tensors(),
            new("rpn.head.cls_logits.bias", Managed.Weights.TensorType.F32, [1], new byte[4]),
            new("rpn.head.new_idea", Managed.Weights.TensorType.F32, [1], new byte[4]),
        ]));
        Assert.Equal(0, await Run("convert", source, "--config", _config, "--vocab", _vocabulary, "--out", Target));
        Assert.Contains("left out, not needed: 1 rpn.head.cls_logits", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("left out, unknown: 'rpn.head.new_idea'", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Convert_completes_a_configuration_from_shapes_and_takes_the_moving_average()
    {
        string part = _folder.Write("part.json", """{ "bert": { "num_attention_heads": 2 }, "fusion": { "n_head": 2 }, "group_norm_groups": 2, "max_query_len": 8 }"""u8);
        Assert.Equal(0, await Run("convert", _checkpoint, "--config", part, "--vocab", _vocabulary, "--out", Target, "--dtype", "bf16"));
        Assert.Contains("read ", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains(", BF16, ", _output.ToString(), StringComparison.Ordinal);

        Assert.Equal(0, await Run("convert", Target, "--out", _folder.File("again.safetensors"))); // needs neither configuration nor vocabulary
        Assert.Equal(1, await Run("convert", _checkpoint, "--vocab", _vocabulary, "--out", Target));
        Assert.Contains("shapes do not decide bert.num_attention_heads and fusion.n_head", _error.ToString(), StringComparison.Ordinal);
        Assert.Equal(1, await Run("convert", _checkpoint, "--ema", "--config", _config, "--vocab", _vocabulary, "--out", Target));
        Assert.Contains("there is no moving average of the weights", _error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Inspect_lists_tensors_with_hashes_that_do_not_depend_on_the_order()
    {
        Assert.Equal(0, await Run("inspect", _checkpoint));
        string checkpoint = _output.ToString();
        Assert.Contains("kind            PyTorch checkpoint", checkpoint, StringComparison.Ordinal);
        Assert.Contains("other sections  'optimizer'", checkpoint, StringComparison.Ordinal);
        Assert.Contains("configuration   shapes do not decide bert.num_attention_heads", checkpoint, StringComparison.Ordinal);
        Assert.Matches(@"\n  FPN +[1-9]", checkpoint);

        // printf '\x..' | sha256sum of the four bytes
        byte[] bias = Tensors().Single(t => t.Name == "rpn.head.bias0").Bytes;
        string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bias))[..16];
        Assert.Matches($@"rpn\.head\.bias0 +F32  {hash}  \[1\]\n", checkpoint);

        string total = checkpoint.TrimEnd()[^64..];
        string reversed = _folder.Write("r.safetensors", ModelBytes([.. Tensors().AsEnumerable().Reverse()], []));
        Assert.Equal(0, await Run("inspect", reversed));
        Assert.EndsWith(total, _output.ToString().TrimEnd(), StringComparison.Ordinal);

        _output.GetStringBuilder().Clear();
        Assert.Equal(0, await Run("inspect", reversed, "--summary"));
        Assert.DoesNotContain("rpn.head.bias0", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Diff_names_what_differs()
    {
        List<Tensor> tensors = [.. Tensors()];
        tensors[0] = tensors[0] with { Bytes = [.. tensors[0].Bytes] };
        float first = BitConverter.ToSingle(tensors[0].Bytes);
        BitConverter.TryWriteBytes(tensors[0].Bytes, first + 1);
        tensors[1] = tensors[1] with { Shape = [1, .. tensors[1].Shape] };
        tensors[2] = tensors[2] with { Name = "another" };
        string other = _folder.Write("o.safetensors", ModelBytes(tensors, new() { ["note"] = "x" }));

        Assert.Equal(1, await Run("diff", _checkpoint, other));
        string text = _output.ToString();
        float largest = MemoryMarshal.Cast<byte, float>(Tensors()[0].Bytes).ToArray().Append(first + 1).Max(Math.Abs);
        Assert.Contains("metadata 'note': only in the second file", text, StringComparison.Ordinal);
        Assert.Contains(FormattableString.Invariant($"'{tensors[0].Name}': 1 values differ, by up to {1 / largest:0.0e+0} of the largest"), text, StringComparison.Ordinal);
        Assert.Contains($"'{tensors[1].Name}': [2] and [1,2]", text, StringComparison.Ordinal);
        Assert.Contains($"'{Tensors()[2].Name}': only in the first file", text, StringComparison.Ordinal);
        Assert.Contains("'another': only in the second file", text, StringComparison.Ordinal);
        Assert.Contains($"4 of {Tensors().Count + 1} tensors differ", text, StringComparison.Ordinal);

        Assert.Equal(0, await Run("diff", _checkpoint, _folder.Write("same.safetensors", ModelBytes(Tensors(), []))));
        Assert.Contains($"{Tensors().Count} tensors, all equal", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal("", _error.ToString());
    }

    [Fact]
    public async Task Failures_are_one_line_exit_code_1_and_no_file()
    {
        byte[] evil = CheckpointBuilder.Zip("r", ("data.pkl", new PickleBuilder().Global("os", "system").Text("id").Op("\u0085R").End()));
        string[][] failing =
        [
            [_folder.Write("evil.pth", evil), "--config", _config, "--vocab", _vocabulary],
            [_checkpoint, "--config", "glip-t", "--vocab", _vocabulary],
            [_checkpoint, "--config", _vocabulary, "--vocab", _vocabulary],
            [_checkpoint, "--config", _config, "--vocab", _config],
            [_checkpoint, "--config", _config, "--vocab", _folder.File("missing.txt")],
            [_folder.File("missing.pth"), "--config", _config, "--vocab", _vocabulary],
        ];
        int files = _folder.Files.Length;
        foreach (string[] arguments in failing)
        {
            _error.GetStringBuilder().Clear();
            Assert.Equal(1, await Run(["convert", .. arguments, "--out", Target]));
            string line = Assert.Single(_error.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries));
            Assert.StartsWith("glip-weights: ", line, StringComparison.Ordinal);
            Assert.Equal(files, _folder.Files.Length);
        }

        Assert.Equal(1, await Run("convert", _checkpoint, "--config", _config, "--vocab", _vocabulary, "--out", _folder.File("no folder/out")));
        Assert.Equal(1, await Run("inspect", _config));
        Assert.Equal(1, await Run("diff", _checkpoint, _config));
        Assert.Equal(1, await Run("verify", _checkpoint));
        Assert.Equal("", _output.ToString());
    }

    [Fact]
    public async Task Malicious_files_are_refused_with_the_reason_and_nothing_is_run()
    {
        string trace = _folder.File("harm"), evil = _folder.Write("evil.pth", []);
        int files = _folder.Files.Length;
        int count = 0;
        foreach (MaliciousFile file in MaliciousFiles.All($"touch {trace}"))
        {
            count++;
            _folder.Write("evil.pth", file.Bytes);
            _error.GetStringBuilder().Clear();
            int code = await Run("convert", evil, "--config", _config, "--vocab", _vocabulary, "--out", Target);
            Assert.True(code == 1, file.Name);
            Assert.Contains(file.Reason, Assert.Single(_error.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
            Assert.Equal(files, _folder.Files.Length);
        }

        Assert.InRange(count, 100, 1000);
        Assert.Equal("", _output.ToString());
    }

    [Fact]
    public async Task Wrong_usage_is_exit_code_2()
    {
        Assert.Equal(2, await Run());
        Assert.Equal(2, await Run("convert", _checkpoint));
        Assert.Equal(2, await Run("convert", _checkpoint, "--config", _config, "--vocab", _vocabulary, "--out", Target, "--dtype", "int4"));
        Assert.Equal(2, await Run("convert", _checkpoint, "--config", "glip-xl", "--vocab", _vocabulary, "--out", Target));
        Assert.Contains("'glip-xl' is neither a file nor one of glip-t-a, glip-t-b", _error.ToString(), StringComparison.Ordinal);
        Assert.Equal(2, await Run("convert", _checkpoint, "--out", Target, "--strip-text"));
        Assert.Equal(2, await Run("convert", _checkpoint, "--out", Target, "--prompts", _vocabulary));
        Assert.Equal(2, await Run("convert", _checkpoint, "--out", Target, "--prompt", "a"));
        Assert.Equal(2, await Run("convert", _checkpoint, "--out", Target, "--prompt", "a", "--prompt-out", Target));
        Assert.Contains("--prompt-out is the checkpoint or the model file", _error.ToString(), StringComparison.Ordinal);
        Assert.Equal(2, await Run("inspect"));
        Assert.Equal(2, await Run("unknown"));
        Assert.False(File.Exists(Target));
    }

    [Fact]
    public async Task The_checkpoint_is_never_overwritten()
    {
        byte[] before = File.ReadAllBytes(_checkpoint);
        Assert.Equal(2, await Run("convert", _checkpoint, "--config", _config, "--vocab", _vocabulary, "--out", _checkpoint));
        Assert.Equal(before, File.ReadAllBytes(_checkpoint));
    }

    [Fact]
    public async Task Help_is_exit_code_0()
    {
        Assert.Equal(0, await Run("--help"));
        Assert.Contains("convert", _output.ToString(), StringComparison.Ordinal);
    }

    private Task<int> Run(params string[] arguments) => WeightsCommandLine.RunAsync(arguments, _output, _error);
}
