import { setTimeout as delay } from 'node:timers/promises'
import type { InstanceSpec } from '../backend.ts'

const beatEvery = 30_000
const longestPause = 10_000

/**
 * Plays the agent of a fake instance as far as the operator can tell: registers with the token, retrying, and beats
 * until the instance ends. Never throws: nobody waits for it.
 */
export function registerAt(spec: InstanceSpec, ended: AbortSignal): void {
  void live(spec, ended).catch(() => {})
}

async function live({ ref: { uid }, env, token }: InstanceSpec, ended: AbortSignal): Promise<void> {
  const platform = env['PLATFORM_URL'] ?? ''
  const id = env['WORKSPACE_ID'] ?? uid
  const tell = async (path: string, body: object): Promise<boolean> => {
    try {
      const response = await fetch(`${platform}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.any([ended, AbortSignal.timeout(longestPause)]),
      })
      await response.body?.cancel()
      return response.ok
    } catch {
      return false
    }
  }
  // Nobody listens at this url: a fake agent is never spoken to, but a registration names one.
  const card = { name: env['WORKSPACE_NAME'] ?? id, version: '1.0.0', url: 'http://127.0.0.1:9' }
  for (let pause = 100; !(await tell('/registry/register', { id, url: card.url, agent_card: card })); pause *= 2)
    await delay(Math.min(pause, longestPause), undefined, { signal: ended, ref: false })
  const startedAt = Date.now()
  for (;;) {
    await delay(beatEvery, undefined, { signal: ended, ref: false })
    const uptime = Math.floor((Date.now() - startedAt) / 1000)
    await tell('/registry/heartbeat', { workspace_id: id, active_tasks: 0, uptime_seconds: uptime, error_rate: 0 })
  }
}
