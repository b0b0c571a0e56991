/** What only processes have: crashes of the operator around a spawn, adoption, groups, and what an agent may see. */
import { unguarded } from '../../src/backends/backend.ts'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import type { Backend } from '../../src/backends/backend.ts'
import { ProcessBackend } from '../../src/backends/process/backend.ts'
import { launch } from '../../src/backends/process/launch.ts'
import { parseIdentity, startOf } from '../../src/backends/process/process-table.ts'
import { gone, never, probeLine, refOf, specOf, state, until } from './backend.contract.ts'

const stateDir = realpathSync(mkdtempSync(join(tmpdir(), 'molecule-process-')))
const probe = join(import.meta.dirname, 'probe.mjs')
const open = (command = [process.execPath, probe, stateDir]): Backend =>
  new ProcessBackend({ stateDir, command, operatorInstance: 'life' })
const backend = open()
const used: string[] = []
const fresh = () => used[used.push(randomUUID()) - 1] ?? ''
const folderOf = (uid: string) => join(stateDir, `ws-${uid}`)
const runOf = (uid: string) => readdirSync(folderOf(uid)).find((name) => name.startsWith('run-')) ?? ''
const pidOf = (uid: string) => Number(readFileSync(join(folderOf(uid), runOf(uid), 'pid'), 'utf8').split('\n')[0])
const said = (uid: string) => backend.logs(refOf(uid), 64_000, never)

/** Every process of this file's folder that works in the folder of that uid, as the kernel has it. */
const pids = (uid: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return realpathSync(`/proc/${name}/cwd`) === join(folderOf(uid), 'workspace')
      } catch {
        return false
      }
    })
    .map(Number)

afterAll(async () => {
  for (const uid of used) await gone(backend, uid, 'delete')
  rmSync(stateDir, { recursive: true, force: true })
})

test(
  'an operator killed at any moment of a launch leaves one instance, or none that can still come',
  {
    timeout: 240_000,
  },
  async () => {
    for (const after of [0, 1, 2, 4, 7, 11, 16]) {
      const uid = fresh()
      const runner = spawn(process.execPath, [join(import.meta.dirname, 'process-runner.ts')], {
        env: { STATE_DIR: stateDir, COMMAND: JSON.stringify([process.execPath, probe, stateDir]), UID: uid },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      // It may be through before it is killed.
      const exited = once(runner, 'exit')
      await once(runner.stdout, 'data') // it is about to call ensure()
      await sleep(after)
      runner.kill('SIGKILL')
      await exited
      await backend.ensure(specOf('', uid), never, unguarded)
      await state(backend, uid, 'running')
      // A shell that was on its way when its operator died has either been adopted or given up.
      await until('it speaks', async () => probeLine(await said(uid)))
      await until('it settles', async () => pids(uid).join() === String(pidOf(uid)))
      expect((await said(uid)).match(/^probe /gm)).toHaveLength(1)
    }
  },
)

test('a launch whose run was called off never becomes the agent', async () => {
  const folder = mkdtempSync(join(stateDir, 'late-'))
  const marker = join(folder, 'ran')
  const command = ['/bin/sh', '-c', `echo ran > ${marker}`]
  const env = { PATH: '/usr/bin:/bin' }
  const given = { command, cwd: folder, env, log: join(folder, 'log'), guard: unguarded }
  const late = await launch({ run: join(folder, 'gone'), ...given })
  if (late.exitCode === null) await once(late, 'exit')
  expect(late.exitCode).toBe(125)
  mkdirSync(join(folder, 'there'))
  const timely = await launch({ run: join(folder, 'there'), ...given })
  if (timely.exitCode === null) await once(timely, 'exit')
  expect(existsSync(marker)).toBe(true)
})

test('an adopted instance whose pid is somebody else by now counts as ended, and nobody is harmed', async () => {
  const uid = fresh()
  await backend.ensure(specOf('', uid), never, unguarded)
  const pidFile = join(folderOf(uid), runOf(uid), 'pid')
  const claim = readFileSync(pidFile, 'utf8')
  // Of another tick of the clock: two of one tick and one pid would be the same to anyone.
  const start = parseIdentity(claim)?.start
  const bystander = await until('someone starts in another tick', async () => {
    const one = spawn('/bin/sleep', ['60'], { stdio: 'ignore', detached: true })
    if ((await startOf(one.pid ?? 0)) !== start) return one
    one.kill()
    return undefined
  })
  writeFileSync(pidFile, claim.replace(/^\d+/, String(bystander.pid)))
  const later = open()
  expect(await later.observe(refOf(uid), never)).toMatchObject({ state: 'exited', exitCode: undefined })
  writeFileSync(pidFile, claim)
  expect(await later.observe(refOf(uid), never)).toMatchObject({ state: 'running' })
  writeFileSync(pidFile, claim.replace(/^\d+/, String(bystander.pid)))
  expect(await later.remove(refOf(uid), 'keep', never, unguarded)).toBe('gone')
  expect(bystander.exitCode ?? bystander.signalCode).toBeNull()
  process.kill(bystander.pid ?? 0, 0)
  bystander.kill()
  const own = parseIdentity(claim)?.pid ?? 0
  process.kill(own, 'SIGKILL')
})

test('the death of an adopted instance is told', async () => {
  const uid = fresh()
  await backend.ensure(specOf('', uid), never, unguarded)
  const later = open()
  await state(later, uid, 'running')
  const stop = new AbortController()
  const told: string[] = []
  const reading = (async () => {
    for await (const ref of later.changes(stop.signal)) told.push(ref.uid)
  })()
  await until('the first list is told', async () => told.includes(uid))
  told.length = 0
  process.kill(pidOf(uid), 'SIGKILL')
  await until('the death is told', async () => told.includes(uid))
  stop.abort()
  await reading
})

test('an agent that ignores the polite signal is killed with everything it started', async () => {
  const uid = fresh()
  const deaf = open(['/bin/sh', '-c', 'trap "" TERM; sleep 600 & while :; do sleep 600; done'])
  await deaf.ensure(specOf('', uid), never, unguarded)
  await until('its children are there', async () => pids(uid).length >= 3)
  expect(await deaf.remove(refOf(uid), 'delete', never, unguarded)).toBe('requested')
  // Two seconds are soon over on a slow machine: what is no more stopping has ended.
  const { state: seen } = await deaf.observe(refOf(uid), never)
  if (seen !== 'stopping') expect({ seen, left: pids(uid) }).toEqual({ seen: 'exited', left: [] })
  if ((await deaf.remove(refOf(uid), 'delete', never, unguarded)) === 'gone') expect(pids(uid)).toEqual([])
  await until('they are killed without another call', async () => pids(uid).length === 0)
  await gone(deaf, uid, 'delete')
  expect(pids(uid)).toEqual([])
  expect(existsSync(folderOf(uid))).toBe(false)
})

test('what an agent leaves behind ends with it', async () => {
  const uid = fresh()
  const messy = open(['/bin/sh', '-c', 'sleep 600 & exit 4'])
  await messy.ensure(specOf('', uid), never, unguarded)
  expect(await state(messy, uid, 'exited')).toMatchObject({ exitCode: 4 })
  await until('its child is gone', async () => pids(uid).length === 0)
})

test("an agent sees its own environment and nothing of the operator's", async () => {
  const uid = fresh()
  process.env['OPERATORS_OWN'] = 'planted-secret'
  try {
    await backend.ensure(specOf('', uid, { ROLE: 'chief', PORT: '1', WORKSPACE_CONFIG_PATH: '/etc' }), never, unguarded)
  } finally {
    delete process.env['OPERATORS_OWN']
  }
  const text = await until('it speaks', async () => probeLine(await said(uid)))
  const { env } = JSON.parse(text) as { env: Record<string, string> }
  const { address } = await state(backend, uid, 'running')
  const given = Object.fromEntries(
    Object.entries(env).filter(([name]) => !['PWD', 'OLDPWD', '_', 'SHLVL'].includes(name)),
  )
  expect(given).toEqual({
    ROLE: 'chief',
    PATH: expect.stringContaining('/bin'),
    LANG: 'C.UTF-8',
    HOME: join(folderOf(uid), 'workspace'),
    TMPDIR: join(folderOf(uid), 'tmp'),
    WORKSPACE_CONFIG_PATH: join(folderOf(uid), 'configs'),
    HOST: '127.0.0.1',
    PORT: new URL(address).port,
    MOLECULE_WORKSPACE_URL: address,
  })
  expect(readFileSync(`/proc/${pidOf(uid)}/cmdline`, 'utf8')).not.toContain('chief')
})

test('a value that no environment can hold is refused without being shown', async () => {
  const uid = fresh()
  const refused = backend.ensure(specOf('', uid, { KEY: 'planted\0secret' }), never, unguarded)
  await expect(refused).rejects.toMatchObject({
    reason: 'InvalidEnvironment',
    message: expect.not.stringContaining('secret'),
  })
  expect(existsSync(folderOf(uid))).toBe(false)
})

test('the log is bounded and its end is kept', async () => {
  const uid = fresh()
  // Only when it is told to: a log that is cut while somebody writes may lose what comes in that moment.
  const told = 'until [ -e told ]; do sleep 0.02; done'
  const script = `${told}; head -c 5000000 /dev/zero | tr "\\0" x; echo; echo the end; exec sleep 600`
  const loud = open(['/bin/sh', '-c', script])
  await loud.ensure(specOf('', uid), never, unguarded)
  writeFileSync(join(folderOf(uid), 'workspace', 'told'), '')
  const log = join(folderOf(uid), 'log')
  await until('it said everything', async () => (await loud.logs(refOf(uid), 100, never)).includes('the end'))
  await loud.observe(refOf(uid), never)
  expect(statSync(log).size).toBeLessThan(1 << 20)
  expect(await loud.logs(refOf(uid), 8, never)).toBe('the end\n')
})

test('a command that does not exist ends the instance and says so', async () => {
  const uid = fresh()
  const broken = open(['/nonexistent/agent'])
  await broken.ensure(specOf('', uid), never, unguarded)
  expect(await state(broken, uid, 'exited')).toMatchObject({ exitCode: 127 })
  expect(await broken.logs(refOf(uid), 1000, never)).toContain('/nonexistent/agent')
})
