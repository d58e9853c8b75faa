namespace Glip.Managed.Tests.Cli;

public class UsageTests
{
    [Theory]
    [InlineData("detect IMAGE dog --isa mmx", "--isa 'mmx'")]
    [InlineData("detect IMAGE dog --isa", "--isa")]
    [InlineData("detect IMAGE dog --deterministic --isa scalar", "--deterministic computes alike on every machine and does not go with --isa scalar")]
    [InlineData("trace IMAGE dog --out o --isa scalar --deterministic", "--deterministic")]
    [InlineData("detect IMAGE dog --threshold -0.5", "--threshold must be a number from 0 to 1, got '-0.5'")]
    [InlineData("detect IMAGE dog --threshold 1.01", "0 to 1")]
    [InlineData("detect IMAGE dog --threshold NaN", "0 to 1")]
    [InlineData("detect IMAGE dog --threshold 0,5", "0 to 1")]
    [InlineData("detect IMAGE dog --threads -1", "--threads must be a whole number from 0 to 1024, got '-1'")]
    [InlineData("detect IMAGE dog --threads many", "--threads")]
    [InlineData("detect IMAGE dog --threads 1025", "from 0 to 1024")]
    [InlineData("detect IMAGE dog --min-size -800", "--min-size must be a whole number from 0 on, got '-800'")]
    [InlineData("detect IMAGE dog --max-size 1e3", "--max-size")]
    [InlineData("detect IMAGE dog --model procedural:glip-x:1 --vocab v", "procedural:glip-x:1")]
    [InlineData("detect IMAGE dog --model procedural:glip-t:one --vocab v", "whole number")]
    [InlineData("detect IMAGE dog --model procedural:glip-t:1", "--vocab")]
    [InlineData("detect IMAGE dog --vocab v", "--model")]
    [InlineData("detect IMAGE dog --output picture.gif", "--output 'picture.gif': the name must end in .png or .jpg or .jpeg")]
    [InlineData("detect IMAGE dog --output picture", "must end in .png")]
    [InlineData("detect IMAGE dog --output picture.ppm", "must end in .png")]
    [InlineData("detect IMAGE dog --crops EMPTY", "the name of the folder for crops is empty")]
    [InlineData("decode IMAGE", "OUT")]
    [InlineData("decode IMAGE a.jpg", "OUT 'a.jpg': the name must end in .ppm or .png")]
    [InlineData("decode IMAGE IMAGE", "would replace a file that it is made from")]
    [InlineData("decode EMPTY a.png", "the name of the picture is empty")]
    [InlineData("detect IMAGE dog --output IMAGE", "would replace a file that it is made from")]
    [InlineData("detect IMAGE dog --json IMAGE", "would replace a file that it is made from")]
    [InlineData("detect IMAGE dog --json a.png --output a.png", "same file")]
    [InlineData("detect IMAGE .", "prompt")]
    [InlineData("detect IMAGE", "PROMPT")]
    [InlineData("detect IMAGE dog --bogus", "--bogus")]
    [InlineData("detect IMAGE dog extra", "extra")]
    [InlineData("inspect", "MODEL")]
    [InlineData("trace IMAGE dog --model MODEL", "--out")]
    [InlineData("trace IMAGE --model MODEL --out o", "either IMAGE and PROMPT or --case")]
    [InlineData("trace IMAGE dog --case c --model MODEL --out o", "either IMAGE and PROMPT or --case")]
    [InlineData("trace --case c --min-size 0 --model MODEL --out o", "--min-size")]
    [InlineData("trace IMAGE dog --model MODEL --out IMAGE", "would replace a file that it is made from")]
    [InlineData("detect IMAGE dog --model MODEL --json MODEL", "would replace a file that it is made from")]
    [InlineData("detect EMPTY dog", "the name of the picture is empty")]
    [InlineData("detect IMAGE EMPTY", "names nothing to look for")]
    [InlineData("detect IMAGE dog --model EMPTY", "the name of the model is empty")]
    [InlineData("detect IMAGE dog --json EMPTY", "the name of the JSON is empty")]
    [InlineData("detect IMAGE dog --output EMPTY", "must end in .png")]
    [InlineData("detect IMAGE dog --model MODEL --vocab EMPTY", "the name of the vocabulary is empty")]
    [InlineData("trace IMAGE dog --out EMPTY", "the name of the trace is empty")]
    [InlineData("trace --case EMPTY --out o", "the name of the case is empty")]
    [InlineData("inspect EMPTY", "the name of the model is empty")]
    [InlineData("frobnicate", "frobnicate")]
    [InlineData("", "command")]
    public void Wrong_usage_is_one_line_and_code_2(string arguments, string expected)
    {
        using var command = new CommandRun();
        string model = command.File("model");
        File.WriteAllText(model, "");

        int code = command.Run([.. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(a => a switch
        {
            "IMAGE" => command.File("cat.png"),
            "MODEL" => model,
            "EMPTY" => "",
            _ => a,
        })]);

        Assert.Equal(2, code);
        Assert.StartsWith("glip: ", command.Error);
        Assert.Contains(expected, command.Error);
        Assert.Single(command.Error.TrimEnd().Split('\n'));
        Assert.Empty(command.Out);
        Assert.Null(command.Loaded);
    }

    [Theory]
    [InlineData("--help", "detect")]
    [InlineData("detect --help", "--threshold")]
    [InlineData("detect --help", "The picture (PNG, JPEG, BMP, PPM, PGM, GIF).")]
    [InlineData("decode --help", "OUT")]
    [InlineData("trace -h", "--case")]
    [InlineData("--version", ".")]
    public void Help_goes_to_standard_output(string arguments, string expected)
    {
        using var command = new CommandRun();

        Assert.Equal(0, command.Run(arguments.Split(' ')));

        Assert.Contains(expected, command.Out);
        Assert.Empty(command.Error);
    }
}
