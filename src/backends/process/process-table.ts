/** Who a pid is. A pid alone is no identity, since the kernel gives it to others: it is one with its start time. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

export interface ProcessIdentity {
  readonly pid: number
  /** Boot and start tick on Linux, the date of the start elsewhere. */
  readonly start: string
}

/** Where /proc keeps the id of this boot: ticks count from the boot, so they say nothing across one. */
const bootIdPath = '/proc/sys/kernel/random/boot_id'

/**
 * What a shell prints about itself, to be read by `parseIdentity`: its pid, then boot id and stat line, or the start
 * date where there is no /proc. `exec` keeps both pid and start time.
 */
export const tellIdentity = `echo "$$"; /bin/cat ${bootIdPath} "/proc/$$/stat" 2>/dev/null || LC_ALL=C /bin/ps -o lstart= -p "$$"`

export function parseIdentity(text: string): ProcessIdentity | undefined {
  const [first, second, third] = text.split('\n')
  const pid = Number(first)
  if (!Number.isSafeInteger(pid) || pid <= 1 || !second) return undefined
  if (!third) return { pid, start: second.trim() }
  const stat = parseStat(third)
  return stat === undefined ? undefined : { pid, start: `${second.trim()}/${stat.ticks}` }
}

/** Fields 3 and 22. The second field is a name in brackets that may itself hold brackets and blanks. */
function parseStat(line: string): { state: string; ticks: string } | undefined {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const [state, ticks] = [fields[0], fields[19]]
  return state !== undefined && ticks !== undefined ? { state, ticks } : undefined
}

/** When the process of that pid started; undefined when there is none, or only a zombie that nobody has reaped. */
export async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') {
    const { stdout } = await promisify(execFile)('/bin/ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      env: { LC_ALL: 'C' },
    }).catch(() => ({ stdout: '' }))
    const [, state, start] = /^(\S+)\s+(.+?)\s*$/.exec(stdout) ?? []
    return state?.startsWith('Z') === true ? undefined : start
  }
  try {
    const [boot, line] = await Promise.all([readFile(bootIdPath, 'utf8'), readFile(`/proc/${pid}/stat`, 'utf8')])
    const stat = parseStat(line)
    return stat === undefined || stat.state === 'Z' || stat.state === 'X' ? undefined : `${boot.trim()}/${stat.ticks}`
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

export const isAlive = async ({ pid, start }: ProcessIdentity): Promise<boolean> => (await startOf(pid)) === start

/**
 * Sends a signal to the whole group that this process leads, when it still is that process. After its death, what is
 * left of the group gets it too, unless the pid is somebody else's by now.
 */
export async function signalGroup(who: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const start = await startOf(who.pid)
  if (start !== undefined && start !== who.start) return
  try {
    process.kill(-who.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
