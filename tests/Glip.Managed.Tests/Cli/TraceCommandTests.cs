using Glip.Managed.Text;
using Glip.Tests;

namespace Glip.Managed.Tests.Cli;

public class TraceCommandTests
{
    [Fact]
    public void Writes_what_the_detector_reports()
    {
        using var command = new CommandRun();
        string output = command.File("stages.safetensors");

        Assert.Equal(0, command.Run("trace", command.File("cat.png"), "dog . cat", "--out", output, "--min-size", "20"));

        var stages = GoldenTensors.Load(output);
        Assert.Equal(["pre.resized_u8", "scores", "scale"], stages.Keys);
        Assert.Equal([1, 2, 3], stages["pre.resized_u8"].Shape);
        Assert.Equal([1, 2, 3, 4, 5, 6], stages["pre.resized_u8"].Byte.ToArray());
        Assert.Equal([1.5f], stages["scale"].Float.ToArray());
        Assert.Equal("dog . cat", stages.Metadata["prompt"]);
        Assert.Contains("3 tensors", command.Out);
        Assert.Equal(new DetectOptions { Threshold = 0, MinSize = 20, AllowTruncatedPrompt = true }, command.Fake.Options);
        Assert.Null(command.Fake.InferenceThreshold);
    }

    [Fact]
    public void Case_gives_spans_size_and_threshold_and_no_cap()
    {
        using var command = new CommandRun();
        WriteCase(command, """
            {"image": "cat.png", "min_image_size": 40, "caption": "été. A dog", "tokens_positive": [[[0, 3]], [[7, 10]]],
             "cfg_overrides": ["MODEL.ATSS.INFERENCE_TH", 0.999], "ignored": 1}
            """);

        Assert.Equal(0, RunCase(command));

        Assert.Equal("été. A dog", command.Fake.Prompt!.Caption);
        Assert.Equal(["été", "dog"], command.Fake.Prompt.Phrases.Select(p => p.Text));
        Assert.Equal(new DetectOptions { Threshold = 0, MinSize = 40, MaxSize = 0, AllowTruncatedPrompt = true }, command.Fake.Options);
        Assert.Equal(0.999f, command.Fake.InferenceThreshold);
    }

    [Fact]
    public void Case_may_list_categories_and_keep_the_size()
    {
        using var command = new CommandRun();
        WriteCase(command, """{"image": "cat.png", "min_image_size": null, "caption": ["person", "red car"], "tokens_positive": [[[0, 6]], [[9, 16]]], "cfg_overrides": []}""");

        Assert.Equal(0, RunCase(command));

        Assert.Equal("person . red car . ", command.Fake.Prompt!.Caption);
        Assert.Equal(0, command.Fake.Options!.MinSize);
        Assert.Null(command.Fake.InferenceThreshold);
    }

    [Fact]
    public void A_label_may_stand_in_several_places()
    {
        using var command = new CommandRun();
        WriteCase(command, """{"image": "cat.png", "min_image_size": null, "caption": "red dog, car", "tokens_positive": [[[0, 3], [9, 12]], [[4, 7]]]}""");

        Assert.Equal(0, RunCase(command));

        Prompt prompt = command.Fake.Prompt!;
        Assert.Equal([new PhraseSpan("red", 0, 3), new PhraseSpan("dog", 4, 7)], prompt.Phrases);
        Assert.Equal([(0, 3), (9, 12)], prompt.SpansOf(1).ToArray());
        Assert.Equal([(4, 7)], prompt.SpansOf(2).ToArray());
    }

    [Fact]
    public void Without_spans_every_place_of_an_entity_is_a_label_of_its_own()
    {
        using var command = new CommandRun();
        WriteCase(command, """{"image": "cat.png", "min_image_size": null, "caption": "😀 Dogs or a dog, red CAR", "entities": ["red car", "dog", "zebra"]}""");

        Assert.Equal(0, RunCase(command));

        Assert.Equal([new PhraseSpan("red CAR", 17, 24), new PhraseSpan("Dog", 2, 5), new PhraseSpan("dog", 12, 15)], command.Fake.Prompt!.Phrases);
    }

    [Fact]
    public void Spans_win_over_entities()
    {
        using var command = new CommandRun();
        WriteCase(command, """{"image": "cat.png", "min_image_size": null, "caption": "red dog", "entities": ["dog"], "tokens_positive": [[[0, 7]]]}""");

        Assert.Equal(0, RunCase(command));

        Assert.Equal([new PhraseSpan("red dog", 0, 7)], command.Fake.Prompt!.Phrases);
    }

    [Fact]
    public void Picture_is_looked_for_beside_the_case_and_one_folder_up()
    {
        using var command = new CommandRun();
        Directory.CreateDirectory(command.File("cases"));
        WriteCase(command, """{"image": "cat.png", "min_image_size": null, "caption": "dog"}""", "cases/case.json");

        Assert.Equal(0, RunCase(command, "cases/case.json"));

        Assert.Equal((40, 30), command.Fake.ImageSize);
        Assert.Equal(["dog"], command.Fake.Prompt!.Phrases.Select(p => p.Text));
    }

    [Theory]
    [InlineData("nonsense", "not a golden case")]
    [InlineData("[]", "not a golden case")]
    [InlineData("""{"min_image_size": null, "caption": "dog"}""", "'image' is missing")]
    [InlineData("""{"image": "cat.png", "caption": "dog"}""", "'min_image_size' is missing")]
    [InlineData("""{"image": "cat.png", "min_image_size": null}""", "'caption' is missing")]
    [InlineData("""{"image": "cat.png", "min_image_size": null, "caption": null}""", "caption is null")]
    [InlineData("""{"image": "cat.png", "min_image_size": "800", "caption": "dog"}""", "not a golden case")]
    [InlineData("""{"image": "cat.png", "min_image_size": 1, "caption": "dog", "tokens_positive": [[[0, 1]], []]}""", "label 2 has no span")]
    [InlineData("""{"image": "cat.png", "min_image_size": 1, "caption": "dog", "tokens_positive": [[0, 1]]}""", "not a golden case")]
    [InlineData("""{"image": "cat.png", "min_image_size": 1, "caption": "dog", "entities": ["dog", ""]}""", "entities holds an empty text")]
    [InlineData("""{"image": "cat.png", "min_image_size": 1, "caption": "dog", "entities": ["cat"]}""", "names nothing to look for")]
    [InlineData("""{"image": "cat.png", "min_image_size": 1, "caption": "dog", "tokens_positive": [[[0, 99]]]}""", "not a golden case")]
    [InlineData("""{"image": "cat.png", "min_image_size": 1, "caption": "dog", "cfg_overrides": ["MODEL.ATSS.NMS_TH", 0.5]}""", "MODEL.ATSS.NMS_TH")]
    [InlineData("""{"image": "gone.png", "min_image_size": 1, "caption": "dog"}""", "gone.png")]
    public void Bad_case_files_are_named_with_what_is_wrong(string json, string expected)
    {
        using var command = new CommandRun();
        WriteCase(command, json);

        Assert.Equal(1, RunCase(command));

        Assert.Contains(command.File("case.json"), command.Error);
        Assert.Contains(expected, command.Error);
        Assert.Single(command.Error.TrimEnd().Split('\n'));
    }

    private static void WriteCase(CommandRun command, string json, string name = "case.json") => File.WriteAllText(command.File(name), json);

    private static int RunCase(CommandRun command, string name = "case.json") =>
        command.Run("trace", "--case", command.File(name), "--out", command.File("stages.safetensors"));
}
