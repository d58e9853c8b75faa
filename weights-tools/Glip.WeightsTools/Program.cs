using Glip.WeightsTools;

return await WeightsCommandLine.RunAsync(args, Console.Out, Console.Error);
