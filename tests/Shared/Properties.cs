using FsCheck;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;

namespace Glip.Tests;

/// <summary>Settings of property tests.</summary>
internal static class Properties
{
    /// <summary>So many random cases; the first that fails is shrunk and thrown.</summary>
    public static Config Cases(int count) => Config.QuickThrowOnFailure.WithMaxTest(count).WithRunner(new QuietRunner());

    /// <summary>
    /// Formats nothing while cases pass. FsCheck's own runner formats every case with F#'s printf, which takes longer than many a kernel and does not run on the
    /// emulated ARM64 runtime.
    /// </summary>
    private sealed class QuietRunner : IRunner
    {
        public void OnStartFixture(Type type)
        {
        }

        public void OnArguments(int ntest, FSharpList<object> args, FSharpFunc<int, FSharpFunc<FSharpList<object>, string>> every)
        {
        }

        public void OnShrink(FSharpList<object> args, FSharpFunc<FSharpList<object>, string> everyShrink)
        {
        }

        public void OnFinished(string name, TestResult testResult)
        {
            if (testResult is not TestResult.Passed)
                throw new Xunit.Sdk.XunitException(Runner.onFinishedToString(name, testResult));
        }
    }
}
