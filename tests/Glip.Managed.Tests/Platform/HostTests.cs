using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Glip.Managed;
using Glip.Tests.Detector;

namespace Glip.Tests.Platform;

/// <summary>How the library behaves inside somebody else's process.</summary>
public class HostTests
{
    [Fact]
    public void A_host_can_unload_it()
    {
        WeakReference context = DetectInAContextOfItsOwn();
        for (int i = 0; i < 20 && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.False(context.IsAlive, "something still refers to the library after its detector was disposed");
    }

    [Theory]
    [InlineData(",", ".", "−")]
    [InlineData("٫", "٬", "-")]
    public void The_cultures_numbers_change_nothing(string point, string group, string minus)
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        var foreign = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        foreign.NumberFormat = new NumberFormatInfo
        {
            NumberDecimalSeparator = point,
            PercentDecimalSeparator = point,
            NumberGroupSeparator = group,
            NegativeSign = minus,
        };
        string expected = Detect();
        try
        {
            CultureInfo.CurrentCulture = foreign;
            Assert.Equal("1" + point + "5", 1.5.ToString(CultureInfo.CurrentCulture));
            Assert.Equal(expected, Detect());
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Big_endian_machines_are_refused()
    {
        var refused = Assert.Throws<PlatformNotSupportedException>(() => Endianness.RequireLittle(isLittleEndian: false));
        Assert.Contains("big-endian", refused.Message, StringComparison.Ordinal);
        Endianness.RequireLittle(isLittleEndian: true);
    }

    /// <summary>Called by reflection in another load context.</summary>
    internal static string Detect()
    {
        using GlipDetector detector = SmallModel.Load(threads: 2);
        return SmallModel.Exact(detector.Detect(new NoisePicture(70, 40).View, SmallModel.Prompt, new DetectOptions { Threshold = 0, MinSize = 0 }));
    }

    // Apart from its caller, whose frame would keep the context alive.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference DetectInAContextOfItsOwn()
    {
        var context = new OwnContext();
        Assembly tests = context.LoadFromAssemblyPath(typeof(HostTests).Assembly.Location);
        MethodInfo detect = tests.GetType(typeof(HostTests).FullName!)!.GetMethod(nameof(Detect), BindingFlags.Static | BindingFlags.NonPublic)!;
        Assert.NotSame(typeof(HostTests).Assembly, tests);
        Assert.Equal(Detect(), detect.Invoke(null, null));
        Assert.Contains(context.Assemblies, a => a.GetName().Name == "Glip.Kernels");
        context.Unload();
        return new WeakReference(context);
    }

    /// <summary>Has its own copies of our assemblies and shares the rest.</summary>
    private sealed class OwnContext() : AssemblyLoadContext(isCollectible: true)
    {
        protected override Assembly? Load(AssemblyName assemblyName)
        {
            string path = Path.Combine(AppContext.BaseDirectory, assemblyName.Name + ".dll");
            return assemblyName.Name!.StartsWith("Glip.", StringComparison.Ordinal) && File.Exists(path) ? LoadFromAssemblyPath(path) : null;
        }
    }
}
