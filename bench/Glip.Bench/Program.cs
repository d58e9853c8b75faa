using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Glip.Bench;

// In this process: nothing is generated and built for each run, and the job options of the command line keep their meaning.
IConfig config = DefaultConfig.Instance.AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).AsMutator());
return BenchmarkSwitcher.FromAssembly(typeof(KernelBenchmark).Assembly).Run(args, config).Any(summary => summary.HasCriticalValidationErrors) ? 1 : 0;
