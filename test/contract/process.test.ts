import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ProcessBackend } from '../../src/backends/process/backend.ts'
import { backendContract, type Target } from './backend.contract.ts'

const probe = join(import.meta.dirname, 'probe.mjs')

backendContract('process', async (): Promise<Target> => {
  const stateDir = realpathSync(mkdtempSync(join(tmpdir(), 'molecule-contract-')))
  // The command carries the folder of this run, so that ps can tell its processes from all others.
  const command = [process.execPath, probe, stateDir]
  const open = (operatorInstance: string) => new ProcessBackend({ stateDir, command, operatorInstance })
  const pids = (uid: string) =>
    execFileSync('ps', ['-A', '-o', 'pid=,args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(`${probe} ${stateDir}`) && !line.includes('molecule-launch'))
      .map((line) => Number(line.trim().split(' ')[0]))
      .filter((pid) => cwdOf(pid) === join(stateDir, `ws-${uid}`, 'workspace'))
  return {
    backend: open('contract'),
    reopen: () => open('contract'),
    foreign: () => open('another'),
    image: '',
    kill: async (uid) => {
      const found = pids(uid)
      const at = performance.now()
      for (const pid of found) process.kill(pid, 'SIGKILL')
      return at
    },
    things: async (uid) => [
      ...pids(uid).map((pid) => `process ${pid}`),
      ...(existsSync(join(stateDir, `ws-${uid}`)) ? ['folder'] : []),
    ],
    close: async () => rmSync(stateDir, { recursive: true, force: true }),
  }
})

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
