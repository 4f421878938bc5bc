// A long run says on stderr where it is, so that nobody has to guess whether it hangs.

const EVERY_MS = 30_000;

/** Answers a function that is called with how many are done, and says so every half minute, with what is left at this speed. */
export function progress_of(name, count, what) {
  const began = performance.now();
  let told = began;
  return (done) => {
    const now = performance.now();
    if (now - told < EVERY_MS) return;
    told = now;
    const speed = done / (now - began);
    const left = (count - done) / speed / 60_000;
    console.error(
      `bench: ${name}: ${done} of ${count} ${what}, ${(speed * 1000).toFixed(1)} a second, about ${left.toFixed(0)} min left`,
    );
  };
}
