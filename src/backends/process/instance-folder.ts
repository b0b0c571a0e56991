import { chmod, mkdir, open, readFile, rename, rm, rmdir, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { InstanceFile, InstanceRef } from '../backend.ts'
import { instanceName } from '../names.ts'
import { parseIdentity, type ProcessIdentity } from './process-table.ts'

/** What was meant, written before anything is started. */
export interface Intent {
  readonly operator: string
  readonly ref: InstanceRef
  /** The launch that this intent allows; undefined once the instance was removed and only its volumes are left. */
  readonly launch?: {
    readonly id: string
    readonly specHash: string
    readonly port: number
    readonly createdAt: string
  }
}

export interface Exit {
  readonly code: number | undefined
  readonly detail: string
  readonly finishedAt: string
}

const mostLog = 2 << 20
const keptLog = 512 << 10

/**
 * Everything of one uid: `instance.json` (the intent), `configs/`, `workspace/`, `sessions/`, `session-resets`, `tmp/`, `log`, and for each
 * launch `run-<id>/` with `pid` (claimed by the process itself), `stopping` and `exit.json`.
 */
export class InstanceFolder {
  readonly path: string
  readonly configs: string
  readonly workspace: string
  readonly sessions: string
  readonly tmp: string
  readonly log: string
  readonly #removed: string

  constructor(stateDir: string, uid: string) {
    this.path = join(stateDir, instanceName(uid))
    this.configs = join(this.path, 'configs')
    this.workspace = join(this.path, 'workspace')
    this.sessions = join(this.path, 'sessions')
    this.tmp = join(this.path, 'tmp')
    this.log = join(this.path, 'log')
    this.#removed = join(stateDir, `.removed-${uid}`)
  }

  run(launch: string): string {
    return join(this.path, `run-${launch}`)
  }

  async intent(): Promise<Intent | undefined> {
    const text = await readIfThere(join(this.path, 'instance.json'))
    return text === undefined ? undefined : (JSON.parse(text) as Intent)
  }

  async writeIntent(intent: Intent): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 })
    await replaceFile(join(this.path, 'instance.json'), JSON.stringify(intent), 0o600)
  }

  /** The folders that outlive a launch, and the files that are in place before it. */
  async deliver(files: readonly InstanceFile[], sessions: 'with sessions' | 'without'): Promise<void> {
    const kept = sessions === 'without' ? [] : [this.sessions]
    for (const folder of [this.configs, this.workspace, this.tmp, ...kept]) await mkdir(folder, { recursive: true })
    for (const { path, content, mode } of files) {
      const target = join(this.configs, path)
      await mkdir(dirname(target), { recursive: true })
      await replaceFile(target, content, mode ?? 0o644)
    }
  }

  /** The process that claimed the launch. Looks at a called-off run too: a crash may come before it is put back. */
  async claim(launch: string): Promise<ProcessIdentity | undefined> {
    const run = this.run(launch)
    const text = (await readIfThere(join(run, 'pid'))) ?? (await readIfThere(join(`${run}.off`, 'pid')))
    return text === undefined ? undefined : parseIdentity(text)
  }

  /** Makes sure that a launch nobody has claimed never will be; `claimed` when it came too late for that. */
  async callOff(launch: string): Promise<'off' | 'claimed'> {
    const run = this.run(launch)
    if ((await readIfThere(join(run, 'pid'))) !== undefined) return 'claimed'
    const off = `${run}.off`
    await ignoring('ENOENT', rename(run, off))
    if ((await readIfThere(join(off, 'pid'))) !== undefined) {
      await rename(off, run)
      return 'claimed'
    }
    await rm(off, { recursive: true, force: true })
    return 'off'
  }

  async stoppingSince(launch: string): Promise<Date | undefined> {
    const text = await readIfThere(join(this.run(launch), 'stopping'))
    return text === undefined ? undefined : new Date(text)
  }

  async writeStopping(launch: string, at: Date): Promise<void> {
    await replaceFile(join(this.run(launch), 'stopping'), at.toISOString(), 0o600)
  }

  async exit(launch: string): Promise<Exit | undefined> {
    const text = await readIfThere(join(this.run(launch), 'exit.json'))
    return text === undefined ? undefined : (JSON.parse(text) as Exit)
  }

  /** A run that was removed meanwhile needs no exit. */
  async writeExit(launch: string, exit: Exit): Promise<void> {
    await ignoring('ENOENT', replaceFile(join(this.run(launch), 'exit.json'), JSON.stringify(exit), 0o600))
  }

  /** When the instance last said something: the nearest known to its end where no exit was recorded. */
  async lastWrite(): Promise<Date> {
    return (await stat(this.log)).mtime
  }

  async clearRun(launch: string): Promise<void> {
    await rm(this.run(launch), { recursive: true, force: true })
    await rm(this.tmp, { recursive: true, force: true })
  }

  async clearSessions(): Promise<void> {
    await rm(this.sessions, { recursive: true, force: true })
  }

  /** Names of the resets of sessions that were done last. */
  async sessionResets(): Promise<readonly string[]> {
    const text = (await readIfThere(join(this.path, 'session-resets'))) ?? ''
    return text.split(' ').filter((name) => name !== '')
  }

  async writeSessionResets(done: readonly string[]): Promise<void> {
    await replaceFile(join(this.path, 'session-resets'), done.join(' '), 0o600)
  }

  /** Moved aside first, so that a crash in the middle cannot leave a folder without its intent. */
  async erase(): Promise<void> {
    await rm(this.#removed, { recursive: true, force: true })
    await ignoring('ENOENT', rename(this.path, this.#removed))
    await rm(this.#removed, { recursive: true, force: true })
  }

  /** For a folder without an intent: nothing of ours can be in it, unless it is empty. */
  async eraseEmpty(): Promise<void> {
    await rm(this.#removed, { recursive: true, force: true })
    await ignoring('ENOENT', ignoring('ENOTEMPTY', rmdir(this.path)))
  }

  async tail(bytes: number): Promise<string> {
    const file = await ignoring('ENOENT', open(this.log, 'r'))
    if (file === undefined) return ''
    try {
      const { size } = await file.stat()
      const length = Math.min(size, bytes)
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  }

  /** The process appends to the file by itself, so the file is cut in place; lines written meanwhile may be lost. */
  async boundLog(): Promise<void> {
    const { size } = (await ignoring('ENOENT', stat(this.log))) ?? { size: 0 }
    if (size <= mostLog) return
    const kept = await this.tail(keptLog)
    await truncate(this.log, 0)
    await writeFile(this.log, kept, { flag: 'a' })
  }
}

async function replaceFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const next = `${path}.new`
  await rm(next, { force: true })
  await writeFile(next, content, { mode, flag: 'wx' })
  await chmod(next, mode)
  await rename(next, path)
}

const readIfThere = (path: string): Promise<string | undefined> => ignoring('ENOENT', readFile(path, 'utf8'))

async function ignoring<T>(code: string, work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return undefined
    throw error
  }
}
