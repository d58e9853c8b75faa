using System.Text.Json;
using Glip.Managed.Weights;

namespace Glip.Tests.Weights;

/// <summary>The model that ships in models/.</summary>
public class DefaultModelTests
{
    [Fact]
    public void It_is_whole_and_knows_its_names()
    {
        using ModelFile model = ModelFile.Open(TestData.Path("..", "..", "models", "glip-nano.safetensors"));
        Assert.Equal("glip-nano", model.Config.Name);
        Assert.Equal(228, model.Config.Names.Count);
        Assert.Equal(3_998_000, ModelSummary.Of(model).Parameters);
        foreach (string name in model.TensorNames)
        {
            Assert.True(model.TryGetTensor(name, out WeightTensor tensor));
            Assert.All(TensorConversion.ReadSingles(tensor), value => Assert.True(float.IsFinite(value), name));
        }
    }

    [Fact]
    public void Every_name_is_in_its_vocabulary_word_by_word()
    {
        using ModelFile model = ModelFile.Open(TestData.Path("..", "..", "models", "glip-nano.safetensors"));
        string[] tokens = System.Text.Encoding.UTF8.GetString(model.Vocabulary.Span).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(867, tokens.Length);
        Assert.Equal(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], tokens[..4]);
        Assert.Empty(model.Config.Names.SelectMany(name => name.Replace("-", " - ").Split(' ')).Except(tokens));
    }

    [Fact]
    public void The_samples_truth_is_within_its_names()
    {
        using ModelFile model = ModelFile.Open(TestData.Path("..", "..", "models", "glip-nano.safetensors"));
        using JsonDocument truth = JsonDocument.Parse(File.ReadAllBytes(TestData.Path("nano", "truth.json")));
        foreach (JsonElement scene in truth.RootElement.EnumerateArray())
        {
            Assert.True(File.Exists(TestData.Path("..", "..", "samples", scene.GetProperty("image").GetString()!)));
            Assert.Empty(scene.GetProperty("labels").EnumerateArray().Select(l => l.GetString()!).Except(model.Config.Names));
        }
    }
}
