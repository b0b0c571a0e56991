/**
 * A server that development starts and must not leave behind: own process group (Ctrl-C reaches only us, so that we
 * can stop in order), output kept for error messages, and a reaper that ends it when this process dies unannounced.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'

export interface ServerOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Removed by the reaper, too, when this process is killed. */
  readonly dir: string
  readonly env?: Readonly<Record<string, string>>
  readonly identity?: { readonly uid: number; readonly gid: number }
  /** Gets all that it prints. Its folder must exist. */
  readonly logFile?: string
  /** What asks it to stop in order. */
  readonly stopSignal?: 'SIGTERM' | 'SIGINT'
  /** True once it serves; false or a throw means: not yet. */
  ready(signal: AbortSignal): Promise<boolean>
}

const startDeadline = 90_000
const stopDeadline = 10_000
const lastWords = 5000
const keptOutput = 64 * 1024

/** `read` returns when the other end of its standard input is gone, however that came about. */
const reaperScript = 'read _; kill -9 "$1" 2>/dev/null; rm -rf "$2"'

export class ServerProcess {
  readonly #options: ServerOptions
  #child: ChildProcess | undefined
  #reaper: ChildProcess | undefined
  #output = ''

  constructor(options: ServerOptions) {
    this.#options = options
  }

  /** The last 64 KiB of what it printed. */
  get output(): string {
    return this.#output
  }

  /** False before the start, after the end, and when it ended by itself. */
  get running(): boolean {
    return this.#child !== undefined && isAlive(this.#child)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts it and waits until it serves. Throws with its last output when it ends or does not come to serve. */
  async start(): Promise<void> {
    const { name, command, args, env, identity, logFile } = this.#options
    this.#output = ''
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, ...env },
      ...identity,
    })
    this.#child = child
    const log = logFile === undefined ? undefined : createWriteStream(logFile, { flags: 'a', mode: 0o600 })
    // A full disk costs the log alone.
    log?.on('error', () => {})
    child.once('close', () => log?.end())
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-keptOutput)
      log?.write(chunk)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => {
        const tell = () =>
          reject(new Error(`${name} ended (${signal ?? `exit code ${String(code)}`}): ${lastLines(this.#output)}`))
        // Its last words may still be in the pipe; a child of its own may hold that open for ever.
        child.once('close', tell)
        setTimeout(tell, lastWords).unref()
      })
    })
    failed.catch(() => {})
    if (child.pid === undefined) return failed
    this.#reaper = startReaper(child.pid, this.#options.dir)
    try {
      await Promise.race([failed, this.#untilReady()])
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.#end(this.#options.stopSignal ?? 'SIGTERM')
  }

  /** As a crash: no chance to say goodbye. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /**
   * Holds it, connections open and nothing answered, until resume(). Over once every thread stands still: one that runs on
   * for a moment may still answer.
   */
  async pause(): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined) return
    child.kill('SIGSTOP')
    while (isAlive(child) && !(await standsStill(child.pid))) await wait(1)
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    this.#child = undefined
    if (isAlive(child)) {
      const exited = once(child, 'exit')
      child.kill(signal)
      child.kill('SIGCONT')
      const stubborn = setTimeout(() => child.kill('SIGKILL'), stopDeadline)
      await exited
      clearTimeout(stubborn)
    }
    // Only now: until the server is gone, somebody must be there to end it.
    this.#reaper?.kill('SIGKILL')
    this.#reaper = undefined
  }

  async #untilReady(): Promise<void> {
    const deadline = AbortSignal.timeout(startDeadline)
    while (!deadline.aborted) {
      const ready = await this.#options
        .ready(AbortSignal.any([deadline, AbortSignal.timeout(2_000)]))
        .catch(() => false)
      if (ready) return
      await wait(50)
    }
    throw new Error(
      `${this.#options.name} did not serve within ${String(startDeadline / 1000)} s: ${lastLines(this.#output)}`,
    )
  }
}

/** By what Linux says of its threads; elsewhere what `ps` says of the process. */
async function standsStill(pid: number): Promise<boolean> {
  const folder = `/proc/${pid}/task`
  const threads = await readdir(folder).catch(() => undefined)
  if (threads === undefined) {
    const ps = spawn('ps', ['-o', 'state=', '-p', String(pid)], { stdio: ['ignore', 'pipe', 'ignore'] })
    return (await text(ps.stdout)).trim().startsWith('T')
  }
  // Of a thread that ended meanwhile there is nothing left to read.
  const states = await Promise.all(
    threads.map((thread) => readFile(join(folder, thread, 'stat'), 'utf8').catch(() => ') T')),
  )
  return states.every((stat) => /^ [Tt]/.test(stat.slice(stat.lastIndexOf(')') + 1)))
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

function startReaper(pid: number, dir: string): ChildProcess {
  const reaper = spawn('sh', ['-c', reaperScript, 'reaper', String(pid), dir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  // Neither it nor its pipe may keep this process from ending: its end is what the reaper waits for.
  reaper.unref()
  if (reaper.stdin && 'unref' in reaper.stdin && typeof reaper.stdin.unref === 'function') reaper.stdin.unref()
  return reaper
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-12).join('\n') || 'it printed nothing'
}

/**
 * Below the ports that systems give to whoever asks for any and to outgoing connections: one of those may be somebody
 * else's by the time a server listens on it, or comes back to it after a while.
 */
const ports = { from: 20_000, to: 30_000 }
const given = new Set<number>()

/** A TCP port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const port = randomInt(ports.from, ports.to)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error('no TCP port could be had')
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}

/** Runs `start` with fresh ports again, up to three times, when another process took one of them meanwhile. */
export async function onFreePorts<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start()
    } catch (error) {
      const taken = error instanceof Error && /address already in use/i.test(error.message)
      if (!taken || attempt === 3) throw error
    }
  }
}
