// Loaded into the supervisor that is measured, before it begins (`node --expose-gc --require`): collects garbage when it is asked to over the channel
// to its parent, and tells what lives then. No option of the supervisor's: nobody else can ask for this.
const { isMainThread } = require("node:worker_threads");

if (isMainThread && process.channel) {
  process.on("message", () => {
    // Twice: what a finalizer lets go of in the first is collected by the second.
    gc();
    gc();
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
    process.send({ rss, heap_total: heapTotal, live: heapUsed + external });
  });
  // The channel must not keep a supervisor that is told to stop.
  process.channel.unref();
}
