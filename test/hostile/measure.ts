/** How long beats, messages and edits of one tenant take, and how much memory the operator has meanwhile. */
import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import type { Workspace } from '../../src/api/workspace.ts'
import { post, workspaces, type Agent, type Ask } from './tenant.ts'

export interface Measured {
  /** Milliseconds, by what: the slowest of a hundred left out. */
  readonly p99: Readonly<Record<'heartbeat' | 'message' | 'edit', number>>
  /** Requests that were answered otherwise than they should. */
  readonly failed: number
  /** MiB, the most that was seen. */
  readonly rss: number
}

interface Tenant {
  readonly ask: Ask
  readonly platform: string
  readonly namespace: string
  readonly agents: readonly Agent[]
}

export async function measure(
  { ask, platform, namespace, agents }: Tenant,
  pid: number,
  seconds: number,
): Promise<Measured> {
  const until = performance.now() + seconds * 1000
  const of = (at: number) => agents[at % agents.length] ?? { id: '', name: '', token: '' }
  let failed = 0
  /** One after the other at this pace; the time of each. */
  const each = async (pace: number, one: (at: number) => Promise<number | undefined>): Promise<number[]> => {
    const times: number[] = []
    for (let at = 0; performance.now() < until; at++) {
      const took = await one(at).catch(() => undefined)
      if (took === undefined) failed++
      else times.push(took)
      await wait(pace)
    }
    return times
  }
  const ok = ({ ms, status }: { ms: number; status: number }) => (status === 200 ? ms : undefined)
  const beat = async (at: number) =>
    ok(await post(`${platform}/registry/heartbeat`, of(at).token, { workspace_id: of(at).id }))
  const talk = async (at: number) => {
    const { id } = of(at + 1)
    const took = ok(
      await post(`${platform}/workspaces/${id}/a2a`, of(at).token, { method: 'message/send', params: { at } }),
    )
    // Taken at once, so that nothing waits: a full inbox is not what is measured.
    await post(`${platform}/workspaces/${id}/messages/take`, of(at + 1).token, {})
    return took
  }
  /** Until the status is of the generation that was made. */
  const edit = async (at: number) => {
    const path = workspaces(namespace, of(at).name)
    const began = performance.now()
    const { metadata } = (await ask('PATCH', path, { spec: { role: `edited ${at} ${began}` } })) as Workspace
    while (performance.now() - began < 30_000) {
      const { status } = (await ask('GET', path)) as Workspace
      if ((status?.observedGeneration ?? 0) >= metadata.generation) return performance.now() - began
      await wait(10)
    }
    return undefined
  }
  let rss = 0
  const memory = async () => {
    while (performance.now() < until) {
      const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      rss = Math.max(rss, Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024)
      await wait(200)
    }
  }
  const [heartbeat, message, edits] = await Promise.all([each(20, beat), each(50, talk), each(200, edit), memory()])
  return { p99: { heartbeat: p99(heartbeat), message: p99(message), edit: p99(edits) }, failed, rss }
}

function p99(times: number[]): number {
  times.sort((a, b) => a - b)
  return times[Math.min(times.length - 1, Math.floor(times.length * 0.99))] ?? Number.NaN
}
