/** What a node knows from the start. */
import type { OrgMemory } from '../api/org-template.ts'
import type { Path } from './org-error.ts'
import { checkedText } from './prompts.ts'
import type { Scope } from './scope.ts'

/** As in a Workspace's spec. */
export interface NodeMemory {
  readonly content: string
  readonly scope: 'LOCAL' | 'TEAM' | 'GLOBAL'
}

const longestMemory = 100_000
const mostMemories = 64
const scopes = ['LOCAL', 'TEAM', 'GLOBAL'] as const

/** `global`: those of the whole organisation, which its first node keeps. Each once. */
export function memoriesOf(scope: Scope, global: readonly OrgMemory[]): NodeMemory[] {
  const { merged, at, path, refuse, attempt } = scope
  const { from, list } = merged.memories
  const own = [...(from === 'node' ? at : ['defaults']), 'initial_memories']
  const read = (memory: OrgMemory, here: Path) => attempt(() => readMemory(memory, here, scope), undefined)
  const kept = [
    ...global.map((memory, i) => read({ ...memory, scope: 'GLOBAL' }, ['global_memories', i])),
    ...list.map((memory, i) => read(memory, [...own, i])),
  ].filter((memory) => memory !== undefined)
  const distinct = new Map(kept.map((memory) => [`${memory.scope} ${memory.content}`, memory]))
  if (distinct.size > mostMemories)
    refuse('TooLarge', own, `${path} starts with ${distinct.size} memories, more than ${mostMemories}`)
  return [...distinct.values()]
}

function readMemory(memory: OrgMemory, at: Path, { path, refuse, warnings }: Scope): NodeMemory | undefined {
  const skip = (why: string) => {
    warnings.add('MemorySkipped', path, `a memory is left out: ${why}`, at)
    return undefined
  }
  const content = checkedText(memory.content?.trim() ?? '', [...at, 'content'], refuse)
  if (content === '') return skip('it is empty')
  const asked = memory.scope?.trim().toUpperCase() || 'LOCAL'
  const scope = scopes.find((known) => known === asked)
  if (scope === undefined) return skip(`its scope "${asked.slice(0, 32)}" is not LOCAL, TEAM or GLOBAL`)
  const kept = cutBytes(content, longestMemory)
  if (kept !== content) warnings.add('MemoryCut', path, `a memory is cut to ${longestMemory} bytes`, at)
  return { content: kept, scope }
}

/** The longest beginning that is no longer than `most` bytes and does not end within a character. */
function cutBytes(text: string, most: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= most) return text
  let end = most
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end).toString()
}
