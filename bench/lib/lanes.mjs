/** Does `work(0)` to `work(count - 1)`, `lanes` at a time, in this order. Seconds until all were done; the first failure ends it. */
export async function in_lanes(count, lanes, work) {
  let next = 0;
  const began = performance.now();
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return (performance.now() - began) / 1000;
}
