/** The operator as a process of its own: to be killed, frozen, thawed and asked to stop. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../src/dev/server-process.ts'
import { until } from '../support/until.ts'

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** On the monotonic clock. */
  readonly at: number
}

const main = join(import.meta.dirname, '..', '..', 'src', 'dev', 'main.ts')
const keptOutput = 64 * 1024

export class OperatorProcess {
  readonly startedAt: number
  readonly exited: Promise<Exit>
  exit: Exit | undefined
  readonly #child: ChildProcess
  readonly #healthUrl: string
  #output = ''

  private constructor(child: ChildProcess, healthUrl: string) {
    this.#child = child
    this.#healthUrl = healthUrl
    this.startedAt = performance.now()
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve((this.exit = { code, signal, at: performance.now() })))
    })
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-keptOutput)
      })
  }

  /** Starts it and waits for nothing. Settings go by environment: secrets are among them. Another `entry` is a built one. */
  static async start(env: Readonly<Record<string, string>>, entry = main): Promise<OperatorProcess> {
    const healthPort = String(await freePort())
    const { PATH = '', HOME = '' } = process.env
    const own = { PATH, HOME, HEALTH_HOST: '127.0.0.1', HEALTH_PORT: healthPort, LOG_LEVEL: 'info' }
    const child = spawn(process.execPath, [entry, 'run'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...own, ...env },
    })
    await once(child, 'spawn')
    return new OperatorProcess(child, `http://127.0.0.1:${healthPort}`)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** The last lines of its output. */
  get tail(): string {
    return this.#output.trim().split('\n').slice(-8).join('\n')
  }

  /** Waits until it is ready, or gone. */
  async ready(): Promise<void> {
    const answers = async () => this.exit !== undefined || (await fetch(`${this.#healthUrl}/readyz`)).ok
    await until(answers, { what: 'the operator to be ready', within: 40_000 })
  }

  /** Whether it was stopped by a signal, by itself or from outside. */
  async frozen(): Promise<boolean> {
    const stat = await readFile(`/proc/${this.#child.pid ?? 0}/stat`, 'utf8').catch(() => '')
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Sends a signal and waits for the end, which is forced after `within` ms. */
  async end(signal: 'SIGTERM' | 'SIGKILL', within = 20_000): Promise<Exit> {
    if (this.exit !== undefined) return this.exit
    this.#child.kill(signal)
    this.#child.kill('SIGCONT')
    const stubborn = setTimeout(() => this.#child.kill('SIGKILL'), within)
    try {
      return await this.exited
    } finally {
      clearTimeout(stubborn)
    }
  }
}
