/** `status.nodes`: the nodes of which there is something to say. Pure. */
import type { OrgImportStatus } from '../../api/org-import.ts'
import { cut } from '../../text.ts'
import { effects } from './standing.ts'
import { isFailed, isFine, type Seen } from './judge.ts'
import type { Tally } from './tally.ts'
import { line } from './words.ts'

type Node = NonNullable<OrgImportStatus['nodes']>[number]

/** Every change of one of them writes all of them. */
const mostNodes = 100
/** The API server takes one and a half mebibytes, and there is more to say. */
const mostNodeBytes = 400 * 1024

const states = Object.keys(effects)

/** In trouble first. Those that are fine say nothing: they are Workspaces of their own, with the label of the import. */
export function shownNodes(nodes: readonly Seen[], tally: Tally): Node[] {
  const badness = (seen: Seen) => (isFailed(seen) ? states.length : states.indexOf(seen.stand.state))
  const shown = nodes
    .filter((seen) => !isFine(seen))
    .toSorted((a, b) => badness(b) - badness(a))
    .slice(0, mostNodes)
    .map((seen) => shownNode(seen, tally))
  let room = mostNodeBytes
  const over = shown.findIndex((node) => (room -= Buffer.byteLength(JSON.stringify(node))) < 0)
  return over < 0 ? shown : shown.slice(0, over)
}

function shownNode({ done, stand }: Seen, tally: Tally): Node {
  const { path, name, deed, message } = done
  return {
    path: cut(path, 2048),
    workspaceRef: { name },
    action: tally.deeds.get(path) ?? deed,
    ...(stand.phase !== undefined && { phase: stand.phase }),
    reason: cut(stand.reason, 128),
    message: line(message ?? stand.message),
  }
}
