using Glip.Harness;

return BenchCommandLine.Run(args, Console.Out, Console.Error);
