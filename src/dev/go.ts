/** The machine's own `go`, for what is built from Go modules, and where it is kept. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** A folder of the user's cache. */
export function cacheFolder(name: string): string {
  const fallback = process.platform === 'darwin' ? join(homedir(), 'Library', 'Caches') : join(homedir(), '.cache')
  return join(process.env['XDG_CACHE_HOME'] || fallback, 'molecule-operator', name)
}

export const platform = (): string => `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`

/** Runs `go` in the folder of a go.mod. Throws the end of what it said. */
export async function go(args: readonly string[], cwd: string, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  const child = spawn('go', args, {
    cwd,
    stdio: ['ignore', 'ignore', 'pipe'],
    // A group of its own, so that one signal reaches its compilers, too.
    detached: true,
    env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
  })
  // As from the terminal: it then removes its temporary folder.
  const interrupt = () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGINT')
  }
  signal?.addEventListener('abort', interrupt, { once: true })
  try {
    const [errors] = await Promise.all([text(child.stderr), once(child, 'close')])
    if (child.exitCode !== 0) throw new Error(errors.trim().split('\n').slice(-8).join('\n') || 'go was interrupted')
  } finally {
    signal?.removeEventListener('abort', interrupt)
  }
}
