using System.Text;
using Glip.Managed.Model;

namespace Glip.Tests.Model;

public class GlipConfigTests
{
    private const string Sizes =
        """
        {"swin":{"EMBED_DIM":96,"DEPTHS":[2,2,6,2],"NUM_HEADS":[3,6,12,24],"WINDOW_SIZE":7},"channels":256,"num_convs":6,
         "bert":{"hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"intermediate_size":3072,"vocab_size":30522}, "input":{}}
        """;

    [Fact]
    public void What_the_text_leaves_out_has_the_published_models_value()
    {
        GlipConfig config = GlipConfig.Parse(Encoding.UTF8.GetBytes(Sizes), "x");
        Assert.Equal("glip", config.Name);
        Assert.Equal(16, config.GroupNormGroups);
        Assert.Equal(8, config.AnchorScale);
        Assert.Equal((800, 1333), (config.Input.MinSize, config.Input.MaxSize));
        Assert.Equal(0.5f, config.DefaultThreshold);
        Assert.Empty(config.Names);
        Assert.Equal(256, config.MaxQueryLength);
        Assert.Equal(512, config.Bert.MaxPositions);
        Assert.Null(config.Fusion);
    }

    [Fact]
    public void A_configuration_survives_its_JSON()
    {
        GlipConfig config = GlipConfig.Published("glip-l") with
        {
            Name = "x",
            GroupNormGroups = 8,
            AnchorScale = 4,
            Input = new() { MinSize = 0, MaxSize = 7 },
            DefaultThreshold = 0,
            Names = ["a", "b"],
            MaxQueryLength = 99,
        };
        byte[] json = config.ToJson();
        Assert.Equal(json, GlipConfig.Parse(json, "x").ToJson());
    }
}
