import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Instances } from './instances.ts'

const agent = join(import.meta.dirname, '..', '..', 'examples', 'agent', 'agent.mjs')

/**
 * Instances as processes. Each one writes its uid and pid into a ledger before it becomes the agent: that is the count
 * of creates, and the only way to find a process that the operator knows nothing of.
 */
export class ProcessInstances implements Instances {
  readonly backend = 'process'
  readonly settings: Readonly<Record<string, string>>
  readonly #stateDir: string
  readonly #ledger: string

  constructor(dir: string) {
    this.#stateDir = join(dir, 'state')
    this.#ledger = join(dir, 'ledger')
    mkdirSync(dir, { recursive: true })
    appendFileSync(this.#ledger, '')
    const script = `echo "$WORKSPACE_ID $$" >> '${this.#ledger}'; exec '${process.execPath}' '${agent}'`
    this.settings = {
      BACKENDS: 'process',
      PROCESS_STATE_DIR: this.#stateDir,
      PROCESS_COMMAND: JSON.stringify(['/bin/sh', '-c', script]),
    }
  }

  live(): Promise<Map<string, string[]>> {
    const found = new Map<string, string[]>()
    for (const [uid, pid] of this.#entries()) if (isInstance(pid, uid)) found.set(uid, [...(found.get(uid) ?? []), pid])
    return Promise.resolve(found)
  }

  creates(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const [uid] of this.#entries()) counts.set(uid, (counts.get(uid) ?? 0) + 1)
    return counts
  }

  follow(): Promise<void> {
    return Promise.resolve()
  }

  kill(id: string): Promise<void> {
    process.kill(Number(id), 'SIGKILL')
    return Promise.resolve()
  }

  async discard(uid: string): Promise<void> {
    for (const pid of (await this.live()).get(uid) ?? []) end(pid)
    rmSync(join(this.#stateDir, `ws-${uid}`), { recursive: true, force: true })
  }

  another(image: string): Promise<string> {
    return Promise.resolve(image)
  }

  stranger(): Promise<string> {
    return Promise.reject(new Error('the process backend adopts nothing'))
  }

  async leftovers(): Promise<string[]> {
    const folders = existsSync(this.#stateDir) ? readdirSync(this.#stateDir) : []
    const processes = [...(await this.live()).values()].flat().map((pid) => `process ${pid}`)
    return [...folders.map((name) => `folder ${name}`), ...processes]
  }

  async close(): Promise<void> {
    for (let left = await this.live(); left.size > 0; left = await this.live()) {
      for (const pid of [...left.values()].flat()) end(pid)
      await wait(50)
    }
    rmSync(this.#stateDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  #entries(): [uid: string, pid: string][] {
    const lines = readFileSync(this.#ledger, 'utf8').split('\n').filter(Boolean)
    return lines.map((line) => line.split(' ') as [string, string])
  }
}

/** Gone by itself meanwhile is gone. */
function end(pid: string): void {
  try {
    process.kill(Number(pid), 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Whether that pid lives and is still the one that wrote the line: its environment names the workspace. */
function isInstance(pid: string, uid: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const zombie = stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z')
    return !zombie && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`WORKSPACE_ID=${uid}\0`)
  } catch {
    return false
  }
}
