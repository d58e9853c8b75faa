using System.Buffers.Binary;
using Glip.Kernels;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Weights;
using Glip.Tests;
using Glip.Tests.Weights;

namespace Glip.Managed.Tests.Cli;

/// <summary>What can go wrong with real models and files: one line that says what to do about it, and no file left.</summary>
public class CommandErrorTests
{
    private const string ProjectionName = "rpn.head.dot_product_projection_text.weight";

    [Fact]
    public void Missing_files_are_named()
    {
        using var command = new CommandRun();

        AssertRefused(command, 1, $"the picture does not exist: {command.File("gone.png")}", "detect", command.File("gone.png"), "dog");
        AssertRefused(command, 1, $"the picture must be a file, this is a folder: {command.Folder}", "detect", command.Folder, "dog");
        AssertRefused(command, 1, "the model does not exist: gone", "detect", command.File("cat.png"), "dog", "--model", "gone");
        AssertRefused(command, 1, "the model does not exist: gone", "inspect", "gone");
        AssertRefused(command, 1, "the model does not exist: gone", "trace", command.File("cat.png"), "dog", "--model", "gone", "--out", command.File("out"));
        AssertRefused(command, 1, "the vocabulary does not exist: gone", "inspect", "procedural:glip-t:1", "--vocab", "gone");
        AssertRefused(command, 1, "the case does not exist: gone", "trace", "--case", "gone", "--out", command.File("out"));
    }

    [Fact]
    public void Missing_default_model_says_what_to_deploy()
    {
        using var command = new CommandRun();

        var error = Assert.Throws<FileNotFoundException>(() => GlipDetector.LoadDefault(command.Folder, null));

        Assert.Contains($"copy models/glip-nano.safetensors into {command.Folder}, or load another model by its path", error.Message);
    }

    [Fact]
    public void Truncated_pictures_are_refused()
    {
        using var command = new CommandRun { LoadsModels = true };
        File.WriteAllBytes(command.File("half.png"), File.ReadAllBytes(command.File("cat.png"))[..40]);

        AssertRefused(command, 1, $"{command.File("half.png")}: truncated PNG", "detect", command.File("half.png"), "dog");
    }

    [Fact]
    public void Damaged_models_are_refused_with_file_tensor_and_finding()
    {
        using var command = new CommandRun { LoadsModels = true };
        byte[] whole = TinyModel.ModelBytes();
        File.WriteAllBytes(command.File("half"), whole[..(whole.Length / 2)]);
        File.WriteAllBytes(command.File("stub"), whole[..100]);
        File.WriteAllBytes(command.File("nan"), Spoilt(t => t with { Bytes = WithNaN(t.Bytes) }));
        File.WriteAllBytes(command.File("shape"), Spoilt(t => t with { Shape = [2, 8] }));

        AssertModelRefused(command, "half", "truncated: tensor '");
        AssertModelRefused(command, "stub", "truncated: the safetensors header ends at byte");
        AssertModelRefused(command, "nan", ProjectionName, "NaN at element 3");
        AssertModelRefused(command, "shape", $"tensor '{ProjectionName}': expected [4,4], found [2,8]");
        AssertModelRefused(command, "cat.png", "not a safetensors file");
    }

    [Fact]
    public void Vocabularies_that_do_not_fit_are_refused()
    {
        using var command = new CommandRun { LoadsModels = true };
        File.WriteAllBytes(command.File("model"), TinyModel.ModelBytes());
        File.WriteAllText(command.File("large"), TinyModel.Vocabulary + "b\n");
        string[] arguments = ["detect", command.File("cat.png"), "dog", "--model", command.File("model"), "--vocab"];

        AssertRefused(command, 1, "the vocabulary has 6 tokens, the model has embeddings for 5", [.. arguments, command.File("large")]);
        AssertRefused(command, 1, $"{command.File("cat.png")}: expected a vocabulary in UTF-8", [.. arguments, command.File("cat.png")]);
    }

    [Fact]
    public void Prompts_that_the_model_cannot_read_are_refused()
    {
        using var command = new CommandRun { LoadsModels = true };
        string endless = string.Join(' ', Enumerable.Repeat("guitar", 300));

        AssertRefused(command, 2, "the prompt names nothing to look for; write phrases with full stops between", "detect", command.File("cat.png"), "");
        AssertRefused(command, 2, "alone has 302 tokens, this model reads 256", "detect", command.File("cat.png"), $"dog . {endless}");
        Assert.Contains("phrase 2, 'guitar guitar", command.Error);
        Assert.EndsWith("; shorten it", command.Error.TrimEnd());
    }

    [Fact]
    public void Instruction_sets_of_other_machines_are_refused()
    {
        using var command = new CommandRun { LoadsModels = true };
        SimdIsa foreign = SimdIsas.All.First(isa => !SimdIsas.IsSupported(isa));

        AssertRefused(command, 1, $"instruction set '{foreign.Name()}' cannot run here", "detect", command.File("cat.png"), "dog", "--isa", foreign.Name());

        foreach (SimdIsa isa in SimdIsas.Available)
            Assert.Contains(isa.Name(), command.Error);
    }

    [Fact]
    public void Unknown_instruction_sets_are_wrong_usage()
    {
        using var command = new CommandRun { LoadsModels = true };

        AssertRefused(command, 2, "--isa 'mmx' is not an instruction set", "detect", command.File("cat.png"), "dog", "--isa", "mmx");

        Assert.All(SimdIsas.All, isa => Assert.Contains(isa.Name(), command.Error));
    }

    [Theory]
    [InlineData("--max-size", "set a maximum size, or a smaller minimum size than 320 (see --min-size and --max-size)")]
    [InlineData("--min-size", "the limit is 67108864: set a smaller minimum size than 2000000000, or maximum size than 2000000000 (see --min-size and --max-size)")]
    public void Absurd_sizes_are_refused(string option, string expected)
    {
        using var command = new CommandRun { LoadsModels = true };
        ImageFile.WritePng(command.File("thin.png"), new ImageView(new byte[4000], 1, 4000, PixelFormat.Gray8));
        string[] size = option == "--max-size" ? [option, "0"] : [option, "2000000000", "--max-size", "2000000000"];

        AssertRefused(command, 2, expected, ["detect", command.File("thin.png"), "dog", "--json", "-", .. size]);
    }

    [Fact]
    public void Folders_that_cannot_be_written_are_found_out_before_any_work()
    {
        using var command = new CommandRun();
        string picture = command.File("cat.png");

        AssertRefused(command, 1, "the folder to write to does not exist", "detect", picture, "dog", "--output", command.File("gone/a.png"));
        AssertRefused(command, 1, "the folder to write to does not exist", "detect", picture, "dog", "--json", command.File("cat.png/a.json"));
        AssertRefused(command, 1, "it is a folder", "trace", picture, "dog", "--out", command.Folder);
        if (OperatingSystem.IsLinux())
            AssertRefused(command, 1, "write in the folder /sys", "detect", picture, "dog", "--output", "/sys/a.png");
        Assert.Null(command.Loaded);
    }

    private static void AssertModelRefused(CommandRun command, string model, params string[] expected)
    {
        foreach (string part in expected)
            AssertRefused(command, 1, part, "detect", command.File("cat.png"), "dog", "--model", command.File(model));
        Assert.Contains(command.File(model), command.Error);
    }

    private static void AssertRefused(CommandRun command, int code, string expected, params string[] args)
    {
        string[] before = Directory.GetFiles(command.Folder);
        Assert.Equal(code, command.Run(args));
        Assert.StartsWith("glip: ", command.Error);
        Assert.Contains(expected, command.Error);
        Assert.Single(command.Error.TrimEnd().Split('\n'));
        Assert.DoesNotContain("unexpected", command.Error);
        Assert.DoesNotContain("Parameter", command.Error);
        Assert.Empty(command.Out);
        Assert.Equal(before, Directory.GetFiles(command.Folder));
    }

    /// <summary>The tiny model with its text projection changed.</summary>
    private static byte[] Spoilt(Func<TinyModel.Tensor, TinyModel.Tensor> change) => TinyModel.ModelBytes(
        [.. TinyModel.Tensors().Select(t => t.Name == ProjectionName ? change(t) : t), TinyModel.VocabularyTensor()], TinyModel.Metadata());

    private static byte[] WithNaN(byte[] singles)
    {
        byte[] spoilt = [.. singles];
        BinaryPrimitives.WriteSingleLittleEndian(spoilt.AsSpan(3 * sizeof(float)), float.NaN);
        return spoilt;
    }
}
