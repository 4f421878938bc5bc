// Loaded into the supervisor that is measured, before it begins (`node --expose-gc --require`): collects garbage when it is asked to over the channel
// to its parent, and tells what lives then; with a path it writes a snapshot of the heap there. No option of the supervisor's: nobody else can ask for this.
const { writeHeapSnapshot } = require("node:v8");
const { isMainThread } = require("node:worker_threads");

if (isMainThread && process.channel) {
  process.on("message", ({ snapshot }) => {
    // Twice: what a finalizer lets go of in the first is collected by the second.
    gc();
    gc();
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
    if (snapshot) {
      writeHeapSnapshot(snapshot);
      give_back();
    }
    process.send({ rss, heap_total: heapTotal, live: heapUsed + external });
  });
  // The channel must not keep a supervisor that is told to stop.
  process.channel.unref();
}

/** To make a snapshot takes 130 MB outside the heap, which malloc would keep: the next look at PSS must not see them. Needs glibc. */
function give_back() {
  require("koffi").load("libc.so.6").func("int malloc_trim(size_t)")(0);
}
