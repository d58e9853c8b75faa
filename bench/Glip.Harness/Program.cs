using System.CommandLine;
using Glip.Harness;

var root = new RootCommand("Timings of Glip.Managed on this machine. Plain Stopwatch, so that it also runs as a NativeAOT program.");
root.Subcommands.Add(PeakBench.Command());
root.Subcommands.Add(ModelBench.Command());
return root.Parse(args).Invoke();
