using System.Text.Json;
using Glip.Cli;
using Glip.Managed.Imaging;
using Glip.Managed.Imaging.Codecs;
using Glip.Managed.Text;
using Glip.Managed.Weights;

namespace Glip.Managed.Tests.Cli;

public class DetectCommandTests
{
    private static readonly Detection[] _two =
    [
        new(new Box(1.25f, 2, 30.1f, 25), 0.87654321f, 2, new PhraseSpan("été [red]", 6, 15)),
        new(new Box(-0.5f, 0, 3, 1e-7f), 0.5f, 1, new PhraseSpan("dog", 0, 3)),
    ];

    [Fact]
    public void A_prompt_file_stands_for_the_prompt()
    {
        using var run = new CommandRun();
        PromptFile.Write(run.File("p.safetensors"), new PromptRows("a red car", [[[2, 9]]], [1, 2], 3, new float[6]));
        Assert.Equal(0, run.Run("detect", run.File("cat.png"), "--prompt-file", run.File("p.safetensors")));
        Assert.Equal("a red car", run.Fake.Prompt!.Caption);
        Assert.Equal("red car", Assert.Single(run.Fake.Prompt.Phrases).Text);
        Assert.Equal(6, run.Fake.Prompt.Tuning!.Values.Length);

        Assert.Equal(2, run.Run("detect", run.File("cat.png"), "cat", "--prompt-file", run.File("p.safetensors")));
        Assert.Contains("expected one of PROMPT, --prompt-file and --labels", run.Error, StringComparison.Ordinal);
        Assert.Equal(2, run.Run("detect", run.File("cat.png")));
        Assert.Equal(1, run.Run("detect", run.File("cat.png"), "--prompt-file", run.File("none")));
        Assert.Contains("the prompt does not exist", run.Error, StringComparison.Ordinal);
        Assert.Equal(1, run.Run("detect", run.File("cat.png"), "--prompt-file", run.File("cat.png")));
        Assert.Equal(2, run.Run("detect", run.File("cat.png"), "--prompt-file", run.File("p.safetensors"), "--json", run.File("p.safetensors")));
    }

    [Fact]
    public void Labels_come_one_a_line()
    {
        using var run = new CommandRun();
        File.WriteAllText(run.File("names.txt"), "\uFEFFcat\r\n\n  traffic light \r\nété\n");
        Assert.Equal(0, run.Run("detect", run.File("cat.png"), "--labels", run.File("names.txt")));
        Assert.Equal(["cat", "traffic light", "été"], run.Fake.Prompt!.Phrases.Select(p => p.Text));
        Assert.True(run.Fake.Prompt.IsList);

        Assert.Equal(2, run.Run("detect", run.File("cat.png"), "cat", "--labels", run.File("names.txt")));
        Assert.Equal(2, run.Run("detect", run.File("cat.png"), "--labels", run.File("names.txt"), "--json", run.File("names.txt")));
        Assert.Equal(1, run.Run("detect", run.File("cat.png"), "--labels", run.File("none")));
        Assert.Contains("the list of labels does not exist", run.Error, StringComparison.Ordinal);
        File.WriteAllText(run.File("names.txt"), " \n\n");
        Assert.Equal(1, run.Run("detect", run.File("cat.png"), "--labels", run.File("names.txt")));
        Assert.Contains("names.txt: no names; expected a text file with one name a line", run.Error, StringComparison.Ordinal);
        File.WriteAllBytes(run.File("names.txt"), [99, 97, 116, 10, 0xFF]);
        Assert.Equal(1, run.Run("detect", run.File("cat.png"), "--labels", run.File("names.txt")));
        Assert.Contains("names.txt: byte 4 is not UTF-8", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Prints_a_table_and_draws_into_the_current_folder()
    {
        using var command = new CommandRun { Fake = new FakeModel { Detections = _two } };

        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog . été [red] ."));

        string picture = command.File("cat.detections.png");
        Assert.Contains("été [red]", command.Out);
        Assert.Contains("0.877", command.Out);
        Assert.Contains("1.3, 2.0, 30.1, 25.0", command.Out);
        Assert.Equal("wrote cat.detections.png", command.Out.TrimEnd().Split('\n')[^1]);
        Assert.Empty(command.Error);
        Assert.Contains(ImageFile.Read(picture).Pixels, b => b != 0);
        Assert.True(command.Fake.IsDisposed);
    }

    [Fact]
    public void Json_on_standard_output_is_alone_there_and_no_picture_is_written()
    {
        using var command = new CommandRun { Fake = new FakeModel { Detections = _two } };

        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog . été [red] .", "--json", "-"));

        using JsonDocument json = JsonDocument.Parse(command.Out);
        JsonElement root = json.RootElement;
        Assert.Equal(["image", "model", "prompt", "detections"], root.EnumerateObject().Select(p => p.Name));
        Assert.Equal(40, root.GetProperty("image").GetProperty("width").GetInt32());
        Assert.Equal(30, root.GetProperty("image").GetProperty("height").GetInt32());
        Assert.Equal("fake", root.GetProperty("model").GetString());
        Assert.Equal("dog . été [red] .", root.GetProperty("prompt").GetString());
        JsonElement first = root.GetProperty("detections")[0];
        Assert.Equal(["label", "phrase", "span", "score", "box"], first.EnumerateObject().Select(p => p.Name));
        Assert.Equal(2, first.GetProperty("label").GetInt32());
        Assert.Equal("été [red]", first.GetProperty("phrase").GetString());
        Assert.Equal([6, 15], first.GetProperty("span").EnumerateArray().Select(v => v.GetInt32()));
        Assert.Equal(0.87654321f, first.GetProperty("score").GetSingle());
        Assert.Equal([-0.5f, 0, 3, 1e-7f], root.GetProperty("detections")[1].GetProperty("box").EnumerateArray().Select(v => v.GetSingle()));
        Assert.Equal([command.File("cat.png")], Directory.GetFiles(command.Folder));
    }

    [Fact]
    public void Writes_the_named_files_and_says_so()
    {
        using var command = new CommandRun { Fake = new FakeModel { Detections = _two } };
        (string json, string picture) = (command.File("found.json"), command.File("found.PNG"));

        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog", "--json", json, "--output", picture));

        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(json));
        Assert.Equal(2, document.RootElement.GetProperty("detections").GetArrayLength());
        Assert.Equal(160, ImageFile.Read(picture).Width);
        Assert.Contains($"wrote {json}", command.Out);
        Assert.Contains($"wrote {picture}", command.Out);
        Assert.False(File.Exists(command.File("cat.detections.png")));
    }

    [Theory]
    [InlineData("found.jpg", ImageFormat.Jpeg)]
    [InlineData("found.JPEG", ImageFormat.Jpeg)]
    [InlineData("found.Png", ImageFormat.Png)]
    public void The_name_says_the_format(string name, ImageFormat format)
    {
        using var command = new CommandRun { Fake = new FakeModel { Detections = _two } };

        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog", "--output", command.File(name)));

        DecodedImage picture = ImageFile.Read(command.File(name));
        Assert.Equal((format, 160, 120), (picture.Format, picture.Width, picture.Height));
    }

    [Fact]
    public void Crops_hold_the_pictures_own_pixels()
    {
        using var command = new CommandRun { Fake = new FakeModel { Detections = _two } };
        byte[] pixels = [.. Enumerable.Range(0, 40 * 30 * 3).Select(i => (byte)(i % 251))];
        ImageFile.WritePng(command.File("noise.png"), new ImageView(pixels, 40, 30, PixelFormat.Rgb24));
        string folder = command.File("new/crops");

        Assert.Equal(0, command.Run("detect", command.File("noise.png"), "dog . été [red] .", "--json", "-", "--crops", folder));

        Assert.Equal(["noise-1-été_red.png", "noise-2-dog.png"], Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Contains($"wrote 2 crops to {folder}", command.Error);

        // Corners rounded and included, clipped to the picture: columns 1 to 30, rows 2 to 25; columns 0 to 3, row 0.
        DecodedImage first = ImageFile.Read(Path.Combine(folder, "noise-1-été_red.png"));
        Assert.Equal((30, 24), (first.Width, first.Height));
        Assert.Equal(pixels.AsSpan((3 * 40 + 1) * 3, 30 * 3), first.Pixels.AsSpan(30 * 3, 30 * 3));
        DecodedImage second = ImageFile.Read(Path.Combine(folder, "noise-2-dog.png"));
        Assert.Equal((4, 1), (second.Width, second.Height));
        Assert.Equal(pixels[..12], second.Pixels);
    }

    [Theory]
    [InlineData(1, 9, "dog", "cat-1-dog.png")]
    [InlineData(7, 100, "dog", "cat-007-dog.png")]
    [InlineData(1, 1, "../a\\b: c?", "cat-1-a_b_c.png")]
    [InlineData(1, 1, "", "cat-1-object.png")]
    [InlineData(1, 1, "\ud800 ☃", "cat-1-object.png")]
    [InlineData(1, 1, "0123456789012345678901234567890123456789x", "cat-1-0123456789012345678901234567890123456789.png")]
    public void Names_of_crops_are_safe(int rank, int count, string phrase, string expected) =>
        Assert.Equal(expected, CropFolder.FileName("cat", rank, count, phrase));

    [Fact]
    public void Crops_that_cannot_be_written_fail_before_the_model_is_loaded()
    {
        using var command = new CommandRun();
        string picture = command.File("cat.png");

        Assert.Equal(1, command.Run("detect", picture, "dog", "--crops", Path.Combine(picture, "crops")));

        Assert.Contains($"{picture} is a file", command.Error);
        Assert.Null(command.Loaded);
        Assert.Equal([picture], Directory.GetFileSystemEntries(command.Folder));
    }

    [Fact]
    public void Picture_beside_json_on_standard_output_is_reported_on_the_error_stream()
    {
        using var command = new CommandRun();
        string picture = command.File("a.png");

        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog", "--json", "-", "--output", picture));

        using JsonDocument json = JsonDocument.Parse(command.Out);
        Assert.Equal(0, json.RootElement.GetProperty("detections").GetArrayLength());
        Assert.Contains($"wrote {picture}", command.Error);
    }

    [Fact]
    public void Nothing_found_is_a_success()
    {
        using var command = new CommandRun();

        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog"));

        Assert.Contains("nothing found", command.Out);
    }

    [Fact]
    public void Options_reach_the_detector()
    {
        using var command = new CommandRun();
        string vocabulary = command.File("v.txt");
        File.WriteAllText(vocabulary, "");

        Assert.Equal(0, command.Run(
            "detect", command.File("cat.png"), "@dog", "--model", "procedural:glip-t-a:-7", "--vocab", vocabulary, "--threshold", "0.25", "--isa", "avx2", "--threads", "3", "--min-size", "0", "--max-size", "640"));

        Assert.Equal(new GlipOptions { Isa = "avx2", Threads = 3 }, command.Loaded!.Value.Options);
        Assert.Equal(("glip-t-a", -7L, vocabulary), (command.Loaded.Value.Model.Procedural!.Name, command.Loaded.Value.Model.Seed, command.Loaded.Value.Model.VocabularyPath));
        Assert.Equal(new DetectOptions { Threshold = 0.25f, MinSize = 0, MaxSize = 640 }, command.Fake.Options);
        Assert.Equal((40, 30), command.Fake.ImageSize);
        Assert.Equal("@dog", command.Fake.Prompt!.Caption);

        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog", "--deterministic"));
        Assert.Equal(new GlipOptions { Deterministic = true }, command.Loaded!.Value.Options);
        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog", "--deterministic", "--isa", "portable"));
        Assert.Equal(new GlipOptions { Deterministic = true, Isa = "portable" }, command.Loaded!.Value.Options);
    }

    [Fact]
    public void Without_options_the_model_decides()
    {
        using var command = new CommandRun();

        Assert.Equal(0, command.Run("detect", command.File("cat.png"), "dog"));

        Assert.True(command.Loaded!.Value.Model.IsDefault);
        Assert.Equal(new GlipOptions(), command.Loaded.Value.Options);
        Assert.Equal(new DetectOptions(), command.Fake.Options);
    }

    [Theory]
    [InlineData("missing.png", "missing.png")]
    [InlineData("text.png", "expected a PNG, JPEG")]
    public void Unreadable_pictures_fail_before_the_model_is_loaded(string name, string expected)
    {
        using var command = new CommandRun();
        File.WriteAllText(command.File("text.png"), "no picture");

        Assert.Equal(1, command.Run("detect", command.File(name), "dog"));

        Assert.Contains(expected, command.Error);
        Assert.Single(command.Error.TrimEnd().Split('\n'));
        Assert.Null(command.Loaded);
    }

    [Fact]
    public void Missing_output_folder_fails_before_the_model_is_loaded()
    {
        using var command = new CommandRun();

        Assert.Equal(1, command.Run("detect", command.File("cat.png"), "dog", "--output", command.File("nowhere/a.png")));

        Assert.Contains("folder to write to does not exist", command.Error);
        Assert.Null(command.Loaded);
    }

    [Fact]
    public void Cancelling_leaves_no_file_and_returns_1()
    {
        using var cancellation = new CancellationTokenSource();
        using var command = new CommandRun { Cancellation = cancellation.Token, Fake = new FakeModel { OnDetect = cancellation.Cancel } };

        Assert.Equal(1, command.Run("detect", command.File("cat.png"), "dog"));

        Assert.Equal("glip: cancelled", command.Error.TrimEnd());
        Assert.Equal([command.File("cat.png")], Directory.GetFiles(command.Folder));
        Assert.True(command.Fake.IsDisposed);
    }

    [Fact]
    public void Unforeseen_errors_are_one_line_too()
    {
        using var command = new CommandRun { Fake = new FakeModel { OnDetect = () => throw new InvalidOperationException("first\nsecond") } };

        Assert.Equal(1, command.Run("detect", command.File("cat.png"), "dog"));

        Assert.Equal("glip: unexpected InvalidOperationException: first second", command.Error.TrimEnd());
    }

    [Fact]
    public void Callers_mistakes_found_by_the_library_are_wrong_usage()
    {
        using var command = new CommandRun { Fake = new FakeModel { OnDetect = () => throw new ArgumentException("the picture is too wide", "image") } };

        Assert.Equal(2, command.Run("detect", command.File("cat.png"), "dog"));

        Assert.Equal("glip: the picture is too wide", command.Error.TrimEnd());
    }
}
