import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../src/dev/server-process.ts'

/** Linux counts process times in hundredths of a second, whatever the kernel's own tick (USER_HZ). */
const tick = 100

/** Memory in MiB: now, and the most it ever was. */
export interface Memory {
  readonly rss: number
  readonly peak: number
}

/** The operator under measure: one foreground process, looked at from outside. */
export class Operator {
  readonly #child: ChildProcess
  readonly #pid: number
  readonly #healthPort: number
  readonly #said: string[]

  private constructor(child: ChildProcess, healthPort: number, said: string[]) {
    if (child.pid === undefined) throw new Error('the operator has no pid')
    this.#child = child
    this.#pid = child.pid
    this.#healthPort = healthPort
    this.#said = said
  }

  /** Starts `command` (words, no shell) with ports of its own. Does not wait: what it needs is measured by others. */
  static async start(command: readonly string[], env: Readonly<Record<string, string>>): Promise<Operator> {
    const [file, ...words] = command
    if (file === undefined) throw new Error('the command of the operator is empty')
    const [healthPort, platformPort] = [await freePort(), await freePort()]
    const child = spawn(file, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        HEALTH_HOST: '127.0.0.1',
        HEALTH_PORT: String(healthPort),
        PLATFORM_HOST: '127.0.0.1',
        PLATFORM_PORT: String(platformPort),
        ...env,
      },
    })
    const said: string[] = []
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said.push(text)
        if (said.length > 200) said.shift()
      })
    await once(child, 'spawn')
    return new Operator(child, healthPort, said)
  }

  /** The outcome of `waiting`, or an error with its last words as soon as the process ends by itself. */
  async outlives<T>(waiting: Promise<T>): Promise<T> {
    const over = new AbortController()
    const died = async (): Promise<never> => {
      if (this.#child.exitCode === null && this.#child.signalCode === null)
        await once(this.#child, 'exit', { signal: over.signal })
      throw new Error(`the operator ended (${this.#child.exitCode ?? this.#child.signalCode})`)
    }
    try {
      return await Promise.race([waiting, died()])
    } catch (error) {
      throw new Error(`the operator last said: ${this.tail() || 'nothing'}`, { cause: error })
    } finally {
      over.abort()
      waiting.catch(() => undefined)
    }
  }

  /** The last lines of its output. */
  tail(): string {
    return this.#said.join('').slice(-2000)
  }

  /** Seconds of CPU since it started, user and system, all threads. */
  async cpu(): Promise<number> {
    const stat = await readFile(`/proc/${this.#pid}/stat`, 'utf8')
    // The name in parentheses may hold blanks: count fields from behind it. utime and stime are 14 and 15 of proc(5).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / tick
  }

  memory(): Promise<Memory> {
    return memoryOf(this.#pid)
  }

  /** The sum of one of its own counters over all labels that `matching` accepts; undefined where it has no such. */
  async counter(name: string, matching: (labels: string) => boolean = () => true): Promise<number | undefined> {
    const answer = await fetch(`http://127.0.0.1:${this.#healthPort}/metrics`).catch(() => undefined)
    return answer?.ok === true ? sumOf(await answer.text(), name, matching) : undefined
  }

  /** SIGTERM, and SIGKILL after ten seconds. Returns when the process is gone. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const patience = new AbortController()
    void sleep(10_000, undefined, { signal: patience.signal }).then(
      () => this.#child.kill('SIGKILL'),
      () => undefined,
    )
    await gone
    patience.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

export async function memoryOf(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? NaN) / 1024
  return { rss: field('VmRSS'), peak: field('VmHWM') }
}

/** Adds up the samples of one counter in Prometheus' text format. Undefined when the name does not occur. */
export function sumOf(text: string, name: string, matching: (labels: string) => boolean): number | undefined {
  let sum: number | undefined
  for (const line of text.split('\n')) {
    if (!line.startsWith(name) || !' {'.includes(line.charAt(name.length))) continue
    const end = line.lastIndexOf(' ')
    if (matching(line.slice(name.length, end))) sum = (sum ?? 0) + Number(line.slice(end + 1))
  }
  return sum
}
