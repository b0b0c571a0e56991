/** A demo as a user starts it, and what can be seen of it from outside. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { until } from '../support/until.ts'

const program = join(import.meta.dirname, '..', '..', 'src', 'dev', 'demo.ts')
/** An engine that never answers: agents are processes. */
export const noDocker = { DOCKER_HOST: 'unix:///nonexistent/docker.sock' }

export interface DemoRun {
  readonly output: string
  /** Waits for text in the output. */
  says(text: string): Promise<void>
  signal(name: NodeJS.Signals): void
  /** Its exit code; undefined when a signal ended it. */
  readonly ended: Promise<number | undefined>
}

/** A folder for temporary files, so that what is left behind is known for certain. Gone after the test. */
export async function ownTemp(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'molecule-e2e-'))
  // PostgreSQL may run as another user.
  await chmod(dir, 0o711)
  onTestFinished(async () => {
    for (const pid of processesOf(dir)) end(pid)
    await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  })
  return dir
}

/** The command that starts a demo, quoted for a shell. */
export const demoCommand = `'${process.execPath}' '${program}'`

export const startDemo = (temp: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): DemoRun =>
  startCommand(temp, [process.execPath, program, ...args], env)

/** A command that starts a demo in some other way. */
export function startCommand(
  temp: string,
  [command = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>> = {},
): DemoRun {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // As from a shell: vitest's own settings are no concern of the demo.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...passedOn(), ...env, TMPDIR: temp },
  })
  let output = ''
  const keep = (chunk: Buffer) => (output += chunk.toString())
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const ended = once(child, 'close').then(() => child.exitCode ?? undefined)
  return {
    get output() {
      return output
    },
    async says(text) {
      const look = () => output.includes(text) || child.exitCode !== null
      await until(look, { what: `"${text}"`, within: 100_000 }).catch(() => {})
      if (!output.includes(text)) throw new Error(`the demo did not say "${text}":\n${output}`)
    },
    signal: (name) => child.kill(name),
    ended,
  }
}

/** What says where the control plane, the database and the engine are. */
const passedOn = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => /^(KUBEBUILDER|TEST_ASSET|XDG_CACHE|DOCKER_)/.test(name)),
  )

/** Gone by itself meanwhile is gone. */
function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Processes that know the folder by argument, environment or working directory. */
export function processesOf(dir: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => ['cmdline', 'environ'].some((file) => textOf(pid, file).includes(dir)) || cwdOf(pid).includes(dir))
    .map(Number)
}

/** How many agents run as processes. */
export const agentProcesses = (dir: string): number =>
  processesOf(dir).filter((pid) => textOf(String(pid), 'cmdline').includes('examples/agent/agent.mjs')).length

export async function nothingIsLeft(dir: string): Promise<void> {
  await until(() => processesOf(dir).length === 0, { what: 'every process to be gone', within: 30_000 })
  if (!existsSync(dir)) return
  const left = await readdir(dir)
  if (left.length > 0) throw new Error(`left in the temporary folder: ${left.join(', ')}`)
}

/** Somebody else's process, or one that has just ended, tells nothing. */
function textOf(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

function cwdOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}
