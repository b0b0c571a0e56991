/**
 * Where the nodes of a tree are drawn: each parent is a box with its children in a grid of two columns. The canvas
 * counts with the same numbers (docs/spec/org-language.md, Layout). Absolute pixels.
 */

export interface Card {
  readonly width: number
  readonly height: number
}

/** The size of a leaf. */
export const card: Card = { width: 300, height: 176 }

const columns = 2
const gutter = 14
const header = 130
const side = 16

export interface Box {
  readonly children: readonly Box[]
}

export interface Point {
  readonly x: number
  readonly y: number
}

interface Grid {
  readonly size: Card
  /** Corners of the children, as seen from the corner of the box. */
  readonly slots: readonly Point[]
}

export type Root = Box & { readonly at?: Point | undefined }

/** How far from the origin a Workspace may be drawn, in both directions. */
export const furthest = 1e6

/**
 * Lays out a forest. `at` is where a root wants to be; those that say nothing go beside all others, whatever their
 * order, and below them where there is no room left: nothing is ever drawn upon what a person has placed.
 */
export function layOut(roots: readonly Root[], leaf: Card = card): ReadonlyMap<Box, Point> {
  const places = new Map<Box, Point>()
  const grids = new Map<Box, Grid>()
  const sizes = new Map(roots.map((root) => [root, measure(root, leaf, grids).size]))
  let [x, y, below] = [0, 0, 0]
  for (const [{ at }, { width, height }] of sizes) {
    if (at === undefined) continue
    x = Math.max(x, at.x + width + gutter)
    below = Math.max(below, at.y + height + gutter)
  }
  for (const [root, { width, height }] of sizes) {
    if (root.at !== undefined) {
      settle(root, root.at, grids, places)
      continue
    }
    if (x > 0 && x + width > furthest) [x, y] = [0, below]
    settle(root, { x, y }, grids, places)
    x += width + gutter
    below = Math.max(below, y + height + gutter)
  }
  return places
}

/** Pairs of roots that were placed upon each other, the first of each root. */
export function overlapping<R extends Root>(roots: readonly R[], leaf: Card = card): (readonly [R, R])[] {
  const boxes = roots.flatMap((root) =>
    root.at === undefined ? [] : [{ root, ...root.at, ...measure(root, leaf).size }],
  )
  return boxes.flatMap((a, i) => {
    const b = boxes
      .slice(0, i)
      .find((b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height)
    return b === undefined ? [] : [[b.root, a.root] as const]
  })
}

/** Size of a box with all below it, and where in it its children go. */
export function measure(box: Box, leaf: Card, grids = new Map<Box, Grid>()): Grid {
  const sizes = box.children.map((child) => measure(child, leaf, grids).size)
  const grid = sizes.length === 0 ? { size: leaf, slots: [] } : arrange(sizes)
  grids.set(box, grid)
  return grid
}

function arrange(sizes: readonly Card[]): Grid {
  const used = Math.min(columns, sizes.length)
  const columnWidth = Math.max(...sizes.map(({ width }) => width))
  const slots: Point[] = []
  let y = header
  for (let first = 0; first < sizes.length; first += used) {
    const row = sizes.slice(first, first + used)
    for (let column = 0; column < row.length; column++) slots.push({ x: side + column * (columnWidth + gutter), y })
    y += Math.max(...row.map(({ height }) => height)) + gutter
  }
  const width = 2 * side + columnWidth * used + gutter * (used - 1)
  return { size: { width, height: y - gutter + side }, slots }
}

function settle(box: Box, corner: Point, grids: ReadonlyMap<Box, Grid>, places: Map<Box, Point>) {
  places.set(box, corner)
  const slots = grids.get(box)?.slots ?? []
  for (const [i, child] of box.children.entries()) {
    const slot = slots[i]
    if (slot !== undefined) settle(child, { x: corner.x + slot.x, y: corner.y + slot.y }, grids, places)
  }
}
