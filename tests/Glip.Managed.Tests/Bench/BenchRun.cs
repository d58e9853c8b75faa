using Glip.Harness;

namespace Glip.Tests.Bench;

/// <summary>A run of <c>glip-bench</c> in this process.</summary>
internal sealed record BenchRun(int Code, string Out, string Error)
{
    public static BenchRun Of(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int code = BenchCommandLine.Run(args, output, error);
        return new BenchRun(code, output.ToString(), error.ToString());
    }
}
