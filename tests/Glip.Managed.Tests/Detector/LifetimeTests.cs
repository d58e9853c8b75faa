using System.Runtime.CompilerServices;
using Glip.Kernels;
using Glip.Managed;

namespace Glip.Tests.Detector;

public class LifetimeTests
{
    private static readonly NoisePicture s_picture = new(70, 40);

    [Fact]
    public void One_thread_means_the_callers_and_no_other()
    {
        using GlipDetector detector = SmallModel.Load(threads: 1);
        detector.Detect(s_picture.View, SmallModel.Prompt, new DetectOptions { MinSize = 0 });
        Assert.Equal(1, detector.Threads);
        Assert.Empty(ThreadsOf(PoolOf(detector)));
    }

    [Fact]
    public void Workers_live_as_long_as_the_detector()
    {
        Thread[] workers;
        using (GlipDetector detector = SmallModel.Load(threads: 3))
        {
            workers = [.. ThreadsOf(PoolOf(detector))];
            Assert.Equal(2, workers.Length);
            detector.Detect(s_picture.View, SmallModel.Prompt, new DetectOptions { MinSize = 0 });
            Assert.All(workers, worker => Assert.True(worker.IsAlive));
            Assert.All(workers, worker => Assert.True(worker.IsBackground));
        }

        Assert.All(workers, worker => Assert.False(worker.IsAlive));
    }

    [Fact]
    public void Zero_threads_means_one_a_processor()
    {
        using GlipDetector detector = SmallModel.Load(threads: 0);
        Assert.Equal(Environment.ProcessorCount, detector.Threads);
    }

    [Fact]
    public void A_disposed_detector_refuses_every_call()
    {
        GlipDetector detector = SmallModel.Load(threads: 2);
        detector.Detect(s_picture.View, SmallModel.Prompt, new DetectOptions { MinSize = 0 });
        detector.Dispose();
        detector.Dispose();
        Assert.Equal(0, detector.ReservedBytes);
        Assert.Throws<ObjectDisposedException>(() => detector.Detect(s_picture.View, SmallModel.Prompt));
        Assert.Throws<ObjectDisposedException>(() => detector.Trace(s_picture.View, SmallModel.Prompt, new StageAction(_ => { })));
        Assert.Throws<ObjectDisposedException>(() => detector.WorkspaceBytes(40, 70, SmallModel.Prompt));
    }

    // Which threads exist is nobody's business but the pool's; a test may look all the same.
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_pool")]
    private static extern ref WorkerPool PoolOf(GlipDetector detector);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_threads")]
    private static extern ref Thread[] ThreadsOf(WorkerPool pool);
}
