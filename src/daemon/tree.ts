/** Who deployed whom. Pure. */

/** As much of an agent as is needed here. */
export interface Kin {
  id: string;
  parent: string;
}

/** Those that this agent deployed, those that they deployed, and so on. An entry that names itself or a circle is seen once. */
export function descendants_of<T extends Kin>(id: string, all: Iterable<T>): T[] {
  const children = new Map<string, T[]>();
  // Pushed, not copied: asked at each kill, over all who ever left, and most of them have one parent.
  for (const one of all) {
    const siblings = children.get(one.parent);
    if (siblings) siblings.push(one);
    else children.set(one.parent, [one]);
  }
  const found = new Map<string, T>();
  const generations = [id];
  for (const parent of generations)
    for (const child of children.get(parent) ?? [])
      if (child.id !== id && !found.has(child.id)) {
        found.set(child.id, child);
        generations.push(child.id);
      }
  return [...found.values()];
}

/** Those that deployed somebody of these, those that deployed them, and so on. */
export function ancestors_of(these: Iterable<Kin>, all: Iterable<Kin>): Set<string> {
  const parents = new Map([...all].map(({ id, parent }) => [id, parent]));
  const found = new Set<string>();
  for (const { parent } of these)
    for (let id: string | undefined = parent; id !== undefined && !found.has(id); id = parents.get(id)) found.add(id);
  return found;
}
