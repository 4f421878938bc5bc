/** A log of numbered lines, 1, 2, 3, …: what is wrong with it, or null. The last line may be cut. */
export function gap_or_double(text: string): string | null {
  const lines = text.split("\n").slice(0, -1);
  const wrong = lines.findIndex((line, index) => line !== String(index + 1));
  return wrong < 0 ? null : `line ${wrong + 1} is ${JSON.stringify(lines[wrong])}`;
}
