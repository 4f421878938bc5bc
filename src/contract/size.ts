/** Sizes as people write them, on the command line and in the config file: one parser for both. Pure. */

/** What is said of text that is no size. */
export const NO_SIZE = "must be a size, such as 512M or 2G";

/** Bytes, or a number with K, M, G or T (powers of 1024; `10M`, `10MB` and `10MiB` are the same). Null for what is no size. */
export function parse_size(text: string): number | null {
  const [, number, unit] = /^(\d{1,15}(?:\.\d{1,3})?)([KMGT])?(?:i?B)?$/i.exec(text) ?? [];
  if (number === undefined) return null;
  const power = unit ? "KMGT".indexOf(unit.toUpperCase()) + 1 : 0;
  return Math.floor(Number(number) * 1024 ** power);
}
