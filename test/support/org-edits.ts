/** A tree of any size and six levels, and the same tree after ten edits. No schedule of it comes while a test looks on. */

interface Node {
  name: string
  children: Node[]
  [key: string]: unknown
}

/** Spec of an OrgImport without policies. */
export interface Edition {
  readonly source: { readonly inline: object }
  readonly env: object
  readonly renames?: Readonly<Record<string, string>>
  readonly secretsFrom?: readonly object[]
}

export interface Editions {
  readonly before: Edition
  readonly after: Edition
  /** Paths of what stays who it is under another path: from the old one to the new one. */
  readonly kept: ReadonlyMap<string, string>
  /** Paths, after the edits, of those whose agents have to start anew for them. */
  readonly restarted: readonly string[]
  readonly removed: string
  readonly added: string
}

const levels = 6
/** What the editions ask of their namespace. */
export const orgKeys = (namespace: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'keys', namespace },
  stringData: { BOT: `123:${'a'.repeat(30)}`, TOKEN: 'a-secret-value' },
})

/** `count`: sixty or more, so that all edits meet other nodes. */
export function editions(count: number): Editions {
  const shape = heap(count)
  const nodes = grow(count, shape)
  const before = edition(nodes)
  const paths = () => {
    const found = new Map<Node, string>()
    const walk = (node: Node, path: string): void => {
      found.set(node, path)
      for (const child of node.children) walk(child, `${path}/${child.name}`)
    }
    walk(at(nodes, 0), at(nodes, 0).name)
    return found
  }
  const old = paths()
  const [renamed, moved] = [at(nodes, shape.first(4)), at(nodes, shape.first(4) + 2)]
  const leaf = (nth: number) => at(nodes, count - nth)
  const removed = old.get(leaf(1)) ?? ''

  renamed.name = 'Author'
  take(nodes, moved)
  at(nodes, shape.first(3) + 3).children.push(moved)
  take(nodes, leaf(1))
  const added: Node = { name: 'Newcomer', role: 'Learns.', children: [] }
  at(nodes, 2).children.push(added)
  leaf(2)['model'] = 'opus'
  leaf(3)['system_prompt'] = 'You are another.'
  leaf(4)['schedules'] = [{ name: 'daily', cron_expr: '0 9 29 2 *', prompt: 'Report.' }]
  leaf(5)['plugins'] = ['browser']
  at(nodes, 0)['canvas'] = { x: 500, y: 40 }
  const now = paths()
  const [was, is] = [old.get(renamed) ?? '', now.get(renamed) ?? '']
  const after = {
    ...edition(nodes),
    renames: { [was]: is },
    secretsFrom: [{ node: now.get(leaf(6)), secretRef: { name: 'keys' } }],
  }
  const kept = [...old].flatMap(([node, path]): [string, string][] => {
    const later = now.get(node)
    return later === undefined ? [] : [[path, later]]
  })
  const restarted = [leaf(2), leaf(3), leaf(6)].map((node) => now.get(node) ?? '')
  return { before, after, kept: new Map(kept), restarted, removed, added: now.get(added) ?? '' }
}

/** Each node but the lowest has as many children as it takes for all to fit into six levels. */
function heap(count: number) {
  const first = (level: number, width: number) => (width ** level - 1) / (width - 1)
  let width = 2
  while (first(levels, width) < count) width++
  return { width, first: (level: number) => first(level, width) }
}

function grow(count: number, { width }: ReturnType<typeof heap>): Node[] {
  const nodes: Node[] = []
  for (let i = 0; i < count; i++) {
    const node: Node = {
      name: `Agent ${i}`,
      system_prompt: `You are number ${i}.`,
      children: [],
      schedules: [{ name: 'look', cron_expr: `${i % 60} 3 29 2 *`, prompt: 'Look around.' }],
    }
    nodes.push(node)
    if (i > 0) at(nodes, Math.floor((i - 1) / width)).children.push(node)
  }
  at(nodes, 1)['channels'] = [{ type: 'telegram', config: { bot_token: '${BOT}', chat_id: '5' } }]
  at(nodes, 2)['initial_memories'] = [{ content: 'We began small.' }]
  return nodes
}

/** A copy: later edits leave it as it is. */
const edition = ([root]: readonly Node[]): Edition => ({
  source: {
    inline: structuredClone({
      name: 'Works',
      defaults: { tier: 2, model: 'sonnet', plugins: ['audit'], category_routing: { docs: ['Agent 2'] } },
      workspaces: [root],
    }),
  },
  env: { from: [{ secretRef: { name: 'keys' } }] },
})

function take(nodes: readonly Node[], node: Node): void {
  const parent = nodes.find(({ children }) => children.includes(node))
  if (parent === undefined) throw new Error(`${node.name} is nobody's`)
  parent.children.splice(parent.children.indexOf(node), 1)
}

function at(nodes: readonly Node[], i: number): Node {
  const node = nodes[i]
  if (node === undefined) throw new Error(`there is no node ${i}`)
  return node
}
