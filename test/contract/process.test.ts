import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ProcessBackend } from '../../src/backends/process/backend.ts'
import { backendContract, until, type Target } from './backend.contract.ts'

const probe = join(import.meta.dirname, 'probe.mjs')

backendContract('process', async (): Promise<Target> => {
  const stateDir = realpathSync(mkdtempSync(join(tmpdir(), 'molecule-contract-')))
  // The command carries the folder of this run, so that ps can tell its processes from all others.
  const command = [process.execPath, probe, stateDir]
  const open = (operatorInstance: string) => new ProcessBackend({ stateDir, command, operatorInstance })
  const lines = (uid: string) =>
    execFileSync('ps', ['-A', '-o', 'pid=,args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(`${probe} ${stateDir}`) && cwdOf(pidIn(line)) === workspaceOf(uid))
  const workspaceOf = (uid: string) => join(stateDir, `ws-${uid}`, 'workspace')
  /** An instance counts once its shell has become the agent, which may be a moment after the launch is answered. */
  const pids = (uid: string) =>
    until('no shell is on its way', async () => {
      const found = lines(uid)
      return found.every((line) => !line.includes('molecule-launch')) && found.map(pidIn)
    })
  return {
    backend: open('contract'),
    reopen: () => open('contract'),
    foreign: () => open('another'),
    image: '',
    kill: async (uid) => {
      const [pid] = await pids(uid)
      if (pid === undefined) throw new Error(`no process of ${uid} runs`)
      const at = performance.now()
      process.kill(pid, 'SIGKILL')
      return at
    },
    things: async (uid) => [
      ...(await pids(uid)).map((pid) => `process ${pid}`),
      ...(existsSync(join(stateDir, `ws-${uid}`)) ? ['folder'] : []),
    ],
    close: async () => rmSync(stateDir, { recursive: true, force: true }),
  }
})

const pidIn = (line: string): number => Number(line.trim().split(' ')[0])

function cwdOf(pid: number): string {
  try {
    if (process.platform === 'linux') return realpathSync(`/proc/${pid}/cwd`)
    return (
      /^n(.*)$/m.exec(execFileSync('lsof', ['-a', '-p', String(pid), '-d', 'cwd', '-Fn'], { encoding: 'utf8' }))?.[1] ??
      ''
    )
  } catch {
    return ''
  }
}
