import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { Readable } from 'node:stream'
import type { Guard } from '../backend.ts'
import { tellIdentity } from './process-table.ts'

/**
 * The first thing a launch does is to claim its run folder, by itself: so there is no moment at which the operator may
 * die and leave a process that nobody has a record of. A run folder serves one launch and is moved away to call it
 * off, after which a late shell fails at its claim and never becomes the agent. `ulimit`: a core dump would hold the
 * environment. Descriptor 3 closes when the claim is made.
 */
const script = `
run=$1; shift
ulimit -c 0
{ ${tellIdentity}; } > "$run/pid.new" && /bin/mv "$run/pid.new" "$run/pid" || exit 125
exec 3>&-
exec "$@"`

export interface Launch {
  /** Folder that the launch claims. */
  readonly run: string
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly log: string
  readonly guard: Guard
}

/**
 * Starts the command in a session of its own, so that it outlives this process. Resolves when it has claimed its run
 * folder, or ended without.
 */
export async function launch({ run, command, cwd, env, log, guard }: Launch): Promise<ChildProcess> {
  const output = await open(log, 'a', 0o600)
  try {
    const argv = ['-c', script, 'molecule-launch', run, ...command]
    const stdio = ['ignore', output.fd, output.fd, 'pipe'] as const
    guard()
    const child = spawn('/bin/sh', argv, { cwd, env: { ...env }, detached: true, stdio: [...stdio] })
    const claimed = child.stdio[3]
    if (child.pid === undefined || !(claimed instanceof Readable)) {
      await once(child, 'spawn')
      throw new Error('the launching shell has no pid')
    }
    claimed.resume()
    await once(claimed, 'close')
    child.unref()
    return child
  } finally {
    await output.close()
  }
}

/** A port of the loopback address that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}
