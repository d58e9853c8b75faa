using System.Text.Json;
using Glip.Harness.Commands;
using Glip.Harness.Measuring;
using Glip.Harness.Reports;
using Glip.Kernels;
using Glip.Tests.Detector;

namespace Glip.Tests.Bench;

/// <summary>What <c>glip-bench</c> prints. How fast anything is, is not asserted anywhere.</summary>
public class BenchCommandTests
{
    // 255 words.
    private const string LongPrompt = Fifty + Fifty + Fifty + Fifty + Fifty + "a a a a a";
    private const string Fifty = Ten + Ten + Ten + Ten + Ten;
    private const string Ten = "a a a a a a a a a a ";

    private static readonly string[] s_kernelFields = ["kernel", "shape", "isa", "threads", "median_ms", "gflops", "peak_fraction"];

    [Fact]
    public void Peak_prints_the_ceilings()
    {
        JsonElement peak = Json("peak", "--threads", "1", "--json");
        Assert.Equal(["isa", "threads", "fma_gflops", "bandwidth_gbs"], Names(peak));
        Assert.Equal(SimdIsas.Best.Name(), peak.GetProperty("isa").GetString());
        Assert.True(peak.GetProperty("fma_gflops").GetDouble() > 0);
        Assert.True(peak.GetProperty("bandwidth_gbs").GetDouble() > 0);
    }

    [Fact]
    public void Memory_prints_load_time_and_memory_as_calls_go_on()
    {
        JsonElement report = Json("memory", "--calls", "3", "--size", "64x48", "--size", "40x60", "--prompt", "pizza", "--threads", "1", "--json");
        Assert.Equal(["model", "isa", "threads", "load_s", "mapped_bytes", "private_bytes", "vector_bytes", "moments"], Names(report));
        Assert.Equal(0, report.GetProperty("mapped_bytes").GetInt64());
        Assert.InRange(report.GetProperty("private_bytes").GetInt64(), 7_000_000, 12_000_000); // 4 million parameters in half precision, and Winograd's filters
        JsonElement[] moments = [.. report.GetProperty("moments").EnumerateArray()];
        Assert.Equal(["start", "load", "call 1", "call 2", "call 3"], moments.Select(m => Text(m, "after")));
        Assert.Equal(["40x60", "64x48", "40x60"], moments[2..].Select(m => Text(m, "size")));
        Assert.All(moments, moment => Assert.InRange(moment.GetProperty("rss_bytes").GetInt64(), 1_000_000, moment.GetProperty("peak_bytes").GetInt64()));
    }

    [Theory]
    [InlineData("gemm", "gemm", "5x6x7")]
    [InlineData("conv", "conv", "6x5x4x3")]
    [InlineData("dcn", "dcn", "6x5x4x3s2")]
    [InlineData("attention", "window", "8x6x32")]
    [InlineData("attention", "bert", "3x64", "--kind", "bert")]
    [InlineData("attention", "mha", "3x64", "--kind", "mha")]
    [InlineData("attention", "bi", "9x4x3h2", "--kind", "bi")]
    public void Kernel_commands_print_a_row_a_shape(string command, string kernel, string shape, params string[] more)
    {
        JsonElement report = Json([command, "--shape", shape, "--shape", shape, "--isa", "scalar", "--threads", "2", "--repeat", "1", "--json", .. more]);
        Assert.Equal(["rows"], Names(report));
        Assert.Equal(2, report.GetProperty("rows").GetArrayLength());
        foreach (JsonElement row in report.GetProperty("rows").EnumerateArray())
        {
            Assert.Equal(s_kernelFields, Names(row));
            Assert.Equal((kernel, shape, "scalar", 2), (Text(row, "kernel"), Text(row, "shape"), Text(row, "isa"), row.GetProperty("threads").GetInt32()));
            foreach (string field in (string[])["median_ms", "gflops", "peak_fraction"])
                Assert.True(row.GetProperty(field).GetDouble() > 0, field);
        }
    }

    [Fact]
    public void Options_fill_in_what_shapes_leave_out()
    {
        JsonElement conv = Json("conv", "--shape", "6x5x4x3", "--kernel", "1", "--stride", "2", "--repeat", "1", "--threads", "1", "--format", "json");
        Assert.Equal("6x5x4x3k1s2", Text(conv.GetProperty("rows")[0], "shape"));
        JsonElement window = Json("attention", "--shape", "4x6x8", "--heads", "2", "--window", "3", "--shift", "1", "--repeat", "1", "--threads", "1", "--json");
        Assert.Equal("4x6x8h2w3s1", Text(window.GetProperty("rows")[0], "shape"));
    }

    [Fact]
    public void Shapes_prints_both_models_at_both_sizes()
    {
        JsonElement rows = Json("shapes", "--json").GetProperty("rows");
        Assert.Equal(["config", "size", "tokens", "stage", "part", "kernel", "shape", "count", "macs", "inside"], Names(rows[0]));
        Assert.Equal(
            [("glip-t", "800x1216"), ("glip-t", "480x640"), ("glip-l", "800x1216"), ("glip-l", "480x640")],
            rows.EnumerateArray().Select(row => (Text(row, "config"), Text(row, "size"))).Distinct());
        JsonElement restricted = Json("shapes", "--config", "glip-t-a", "--size", "64x96", "--tokens", "5", "--json").GetProperty("rows");
        Assert.All(restricted.EnumerateArray(), row => Assert.Equal(("glip-t-a", "64x96"), (Text(row, "config"), Text(row, "size"))));
        Assert.Contains(restricted.EnumerateArray(), row => Text(row, "shape") == "5x768");
    }

    [Fact]
    public void Without_shapes_the_models_own_are_run_once_each()
    {
        string[] options = ["--config", "glip-t", "--size", "32x32", "--tokens", "3"];
        string[] expected = [.. Json(["shapes", .. options, "--json"]).GetProperty("rows").EnumerateArray()
            .Where(row => Text(row, "kernel") == "dcn").Select(row => Text(row, "shape")).Distinct()];
        JsonElement rows = Json(["dcn", .. options, "--repeat", "1", "--threads", "1", "--json"]).GetProperty("rows");
        Assert.NotEmpty(expected);
        Assert.Equal(expected, rows.EnumerateArray().Select(row => Text(row, "shape")));
    }

    [Fact]
    public void A_model_is_timed_whole_and_by_stage()
    {
        using var output = new StringWriter();
        ModelCommand.Measure(SmallModel.Config, 64, 96, BenchPrompt.OfLength(SmallModel.Config, 7), SimdIsas.Best, threads: 1, repeat: 3, cancel: 2).Write(output, ReportFormat.Json);
        using var document = JsonDocument.Parse(output.ToString());
        JsonElement report = document.RootElement;
        Assert.Superset(
            new HashSet<string> { "median_s", "min_s", "repeated_s", "cancelled_s", "threads", "isa", "macs", "peak_rss_bytes", "allocated_bytes", "stages" }, Names(report).ToHashSet());
        Assert.InRange(report.GetProperty("min_s").GetDouble(), double.Epsilon, report.GetProperty("median_s").GetDouble());
        Assert.InRange(report.GetProperty("allocated_bytes").GetInt64(), 0, 4096);

        JsonElement[] stages = [.. report.GetProperty("stages").EnumerateArray()];
        Assert.Equal(["stage", "seconds", "macs", "gflop", "gflops", "peak_fraction", "bytes"], Names(stages[0]));
        Assert.Equal(report.GetProperty("macs").GetInt64(), stages.Sum(stage => stage.GetProperty("macs").GetInt64()));
        Assert.Contains(stages, stage => Text(stage, "stage") == "DyConv" && stage.GetProperty("peak_fraction").GetDouble() > 0);
        Assert.Contains(stages, stage => Text(stage, "stage") == "image" && stage.GetProperty("gflops").ValueKind == JsonValueKind.Null);

        // All activations live in the workspace, which holds the kernels' scratch memory too.
        long workspace = report.GetProperty("workspace_bytes").GetInt64();
        Assert.All(stages, stage => Assert.InRange(stage.GetProperty("bytes").GetInt64(), 1, workspace));
    }

    [Fact]
    public void A_prompt_is_one_token_a_word()
    {
        BenchPrompt asked = BenchPrompt.OfText(SmallModel.Config, "Red car . dog .");
        Assert.Equal((7, 2), (asked.Tokens, asked.Prompt.Phrases.Count));
        string[] vocabulary = System.Text.Encoding.UTF8.GetString(asked.Vocabulary(SmallModel.Config)).Split('\n');
        Assert.Equal(SmallModel.Config.Bert.VocabularySize, vocabulary.Length);
        Assert.Equal(["red", "car", ".", "dog"], vocabulary[5..9]);

        using var output = new StringWriter();
        ModelCommand.Measure(SmallModel.Config, 64, 96, asked, SimdIsas.Best, threads: 1, repeat: 1).Write(output, ReportFormat.Json);
        using var document = JsonDocument.Parse(output.ToString());
        Assert.Equal(7, document.RootElement.GetProperty("tokens").GetInt32());
        Assert.Equal(2, document.RootElement.GetProperty("labels").GetInt32());
    }

    [Fact]
    public void Lists_of_labels_may_be_longer_than_the_model_reads()
    {
        using var output = new StringWriter();
        ModelCommand.Measure(SmallModel.Config, 64, 96, BenchPrompt.OfLabels(100), SimdIsas.Best, threads: 1, repeat: 1).Write(output, ReportFormat.Json);
        using var document = JsonDocument.Parse(output.ToString());
        Assert.Equal(100, document.RootElement.GetProperty("labels").GetInt32());
        Assert.Equal(302, document.RootElement.GetProperty("tokens").GetInt32());
        Assert.True(document.RootElement.GetProperty("repeated_s").GetDouble() > 0);
    }

    [Theory]
    [InlineData("--prompt, --tokens and --labels exclude each other", "model", "--prompt", "dog", "--tokens", "5")]
    [InlineData("--prompt, --tokens and --labels exclude each other", "model", "--labels", "3", "--tokens", "5")]
    [InlineData("--prompt has 255 words and signs, glip-t reads 254", "model", "--prompt", LongPrompt)]
    [InlineData("'sse9' is not an instruction set: expected auto, avx512, avx2", "gemm", "--isa", "sse9")]
    [InlineData("--shape '1x2'", "gemm", "--shape", "1x2")]
    [InlineData("--kind must be one of window, bert, mha, bi", "attention", "--kind", "mlp")]
    [InlineData("--threads must be a whole number from 0 to 1024", "peak", "--threads", "-1")]
    [InlineData("--repeat must be a whole number from 1 on", "dcn", "--repeat", "0")]
    [InlineData("--format must be table, markdown, csv or json", "shapes", "--format", "xml")]
    [InlineData("--json and another --format", "shapes", "--format", "csv", "--json")]
    [InlineData("--config must be one of glip-t-a", "shapes", "--config", "glip-x")]
    [InlineData("--size must be rows x columns", "shapes", "--size", "800")]
    [InlineData("1 to 256 tokens", "shapes", "--tokens", "999")]
    [InlineData("--tokens must be 3 to 256", "model", "--tokens", "257")]
    [InlineData("100000x100000", "model", "--size", "100000x100000")]
    public void Wrong_usage_is_one_line_and_exit_code_2(string message, params string[] args)
    {
        var run = BenchRun.Of(args);
        Assert.Equal((2, ""), (run.Code, run.Out));
        Assert.StartsWith("glip-bench: ", run.Error, StringComparison.Ordinal);
        Assert.Single(run.Error.TrimEnd().Split('\n'));
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void An_instruction_set_that_the_machine_lacks_is_wrong_usage()
    {
        SimdIsa missing = SimdIsas.All.First(isa => !SimdIsas.IsSupported(isa));
        foreach (string command in (string[])["peak", "gemm", "model"])
        {
            var run = BenchRun.Of(command, "--isa", missing.Name());
            Assert.Equal(2, run.Code);
            Assert.Contains($"--isa {missing.Name()} cannot run here: this process has {SimdIsas.Best.Name()}", run.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_median_is_the_middle_or_the_mean_of_the_middle_two()
    {
        Assert.Equal(3, KernelTimer.Median([9, 3, 1]));
        Assert.Equal(2.5, KernelTimer.Median([9, 3, 1, 2]));
    }

    private static JsonElement Json(params string[] args)
    {
        var run = BenchRun.Of(args);
        Assert.Equal((0, ""), (run.Code, run.Error));
        using var document = JsonDocument.Parse(run.Out);
        return document.RootElement.Clone();
    }

    private static string[] Names(JsonElement element) => [.. element.EnumerateObject().Select(property => property.Name)];

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;
}
