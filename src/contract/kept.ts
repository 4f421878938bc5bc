/** A value that nobody changes in its place: another takes it. The registry freezes what agents' records have, and trusts it not to have changed (`daemon/registry/serialize.ts`). */
export type Kept<T> = T extends readonly (infer Item)[]
  ? readonly Kept<Item>[]
  : T extends object
    ? { readonly [Name in keyof T]: Kept<T[Name]> }
    : T;
