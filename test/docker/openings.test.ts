/** What a configuration may open: ways onto the host, and folders of it; and that nothing else comes of it. */
import { randomUUID } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { HostFolder } from '../../src/backends/backend.ts'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { gone, never, probeLine, refOf, specOf, state, until } from '../contract/backend.contract.ts'
import { docker, engineAnswers, host } from './engine.ts'
import { engineScene } from './scene.ts'

/** Tries to write in /workspace, and lists it. */
const program = `
import { readdirSync, writeFileSync } from 'node:fs'
let wrote = true
try { writeFileSync('/workspace/written', 'x') } catch { wrote = false }
console.log('probe ' + JSON.stringify({ wrote, seen: readdirSync('/workspace').sort() }))
setInterval(() => {}, 1 << 30)
`

const base = realpathSync(mkdtempSync(join(tmpdir(), 'molecule-base-')))
// Hooks run from the last to the first: what is mounted goes before the folder.
afterAll(() => rmSync(base, { recursive: true, force: true }))
const { backend, fresh, image } = await engineScene('open', program, { folderBases: [base] })

describe.skipIf(!engineAnswers)('with an engine', () => {
  const own = join(base, 'contract')
  const containersOf = (uid: string) => docker.listContainers({ all: true, filters: { name: [uid] } })
  interface More {
    readonly namespace?: string | undefined
    readonly access?: HostFolder['access']
  }
  const withFolder = (uid: string, path: string, { namespace = 'contract', access = 'read_write' }: More = {}) => ({
    ...specOf(image, uid),
    ref: { ...refOf(uid), namespace },
    hostFolder: { path, access },
  })
  beforeAll(() => {
    mkdirSync(join(own, 'a/within'), { recursive: true })
    mkdirSync(join(base, 'neighbour/a'), { recursive: true })
    writeFileSync(join(own, 'a/note'), 'x')
    writeFileSync(join(own, 'file'), 'x')
    symlinkSync('/etc', join(own, 'link'))
    symlinkSync(own, join(base, 'detour'))
  })

  const said = async (uid: string): Promise<unknown> =>
    JSON.parse(await until('it speaks', async () => probeLine(await backend.logs(refOf(uid), 64_000, never))))

  test.each(['read_only', 'read_write'] as const)(
    'a folder of the host is there %s, its owner unchanged',
    async (access) => {
      const uid = fresh()
      const folder = join(own, access)
      mkdirSync(folder)
      writeFileSync(join(folder, 'note'), 'x')
      const { mode, uid: owner } = statSync(folder)
      await backend.ensure(withFolder(uid, folder, { access }), never)
      expect(await said(uid)).toMatchObject({ seen: expect.arrayContaining(['note']) })
      const { Mounts } = await docker.getContainer(`ws-${uid}`).inspect()
      expect(Mounts.find(({ Destination }) => Destination === '/workspace')).toMatchObject({
        Type: 'bind',
        Source: folder,
        RW: access === 'read_write',
        Propagation: 'rprivate',
      })
      expect(statSync(folder)).toMatchObject({ mode, uid: owner })
      expect((await containersOf(uid)).map(({ Names }) => Names[0])).toEqual([`/ws-${uid}`])
      await gone(backend, uid, 'delete')
      expect(readFileSync(join(folder, 'note'), 'utf8')).toBe('x')
    },
  )

  test.each([
    ['a link out of it', 'contract/link', /a link/],
    ['a way through a link', 'detour/a', /detour" is a link/],
    ['a file', 'contract/file', /something else/],
    ['nothing', 'contract/absent', /absent/],
  ])('%s is refused, and nothing is left of the look', async (_, path, message) => {
    const namespace = path.split('/')[0]
    const uid = fresh()
    for (let twice = 0; twice < 2; twice++)
      await expect(backend.ensure(withFolder(uid, join(base, path), { namespace }), never)).rejects.toMatchObject({
        name: 'Terminal',
        reason: 'HostAccessRefused',
        message: expect.stringMatching(message),
      })
    expect(await containersOf(uid)).toEqual([])
  })

  test.each([
    ['one of the system', '/etc/molecule'],
    ['one of the running system', '/run/x'],
    ['one elsewhere', '/srv/elsewhere/contract/a'],
    ['one beside that begins alike', `${base}-beside/contract/a`],
    ['one with a way up', `${own}/../contract/a`],
    ['a relative one', 'relative'],
    ['that of everything', '/'],
    ['that of all namespaces', base],
    ['that of all folders of its namespace', own],
    ['one within that of another workspace', join(own, 'a/within')],
    ["another namespace's", join(base, 'neighbour/a')],
    ['that of all folders of another namespace', join(base, 'neighbour')],
    ['one of a namespace whose name begins alike', join(base, 'contract-2/a')],
  ])('%s is refused before anything is asked', async (_, path) => {
    const host = 'unix:///nonexistent.sock'
    const nowhere = new DockerBackend({ host, operatorInstance: 'x', folderBases: [base] })
    const refused = nowhere.ensure(withFolder(randomUUID(), path), never)
    await expect(refused).rejects.toMatchObject({ reason: 'HostAccessRefused', message: expect.stringContaining(path) })
  })

  test('what an agent may write in holds nothing that another is given', async () => {
    const [first, second] = [fresh(), fresh()]
    await backend.ensure(withFolder(first, join(own, 'a')), never)
    expect(await said(first)).toMatchObject({ seen: expect.arrayContaining(['within']) })
    // The first one's agent could put a link to the host's own folders here, at any instant.
    const refused = backend.ensure(withFolder(second, join(own, 'a/within')), never)
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining(`directly in ${own}`) })
    expect(await containersOf(second)).toEqual([])
  })

  test('without a setting no folder is allowed', async () => {
    const closed = new DockerBackend({ host, operatorInstance: `closed-${randomUUID()}` })
    const refused = closed.ensure(withFolder(fresh(), join(own, 'a')), never)
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('no folder is') })
  })

  test('a look that a crash left behind is no instance, is made anew, and goes with the rest', async () => {
    const uid = fresh()
    const Labels = { 'molecule.dev/uid': uid, 'molecule.dev/helper': 'folder', ...(await marksOf()) }
    const left = { name: `ws-${uid}-folder`, Image: image, Cmd: ['-'], Labels }
    await docker.createContainer(left)
    expect(await backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
    await backend.ensure(withFolder(uid, join(own, 'a')), never)
    await state(backend, uid, 'running')
    expect(await containersOf(uid)).toHaveLength(1)
    await docker.createContainer(left)
    await gone(backend, uid, 'delete')
    expect(await containersOf(uid)).toEqual([])
  })

  /** The operator's label, read from what it made. */
  async function marksOf(): Promise<Record<string, string>> {
    const uid = fresh()
    await backend.ensure(specOf(image, uid), never)
    const { Labels } = (await docker.getContainer(`ws-${uid}`).inspect()).Config
    return { 'molecule.dev/operator': Labels['molecule.dev/operator'] ?? '' }
  }

  test('a tier that may gets the host, and is found where it listens', async () => {
    const uid = fresh()
    const spec = specOf(image, uid)
    const hostAccess = ['Privileged', 'HostPID', 'HostNetwork', 'EngineSocket'] as const
    await backend.ensure({ ...spec, limits: { ...spec.limits, hostAccess } }, never)
    const { address } = await state(backend, uid, 'running')
    const { HostConfig: held, Mounts, Config } = await docker.getContainer(`ws-${uid}`).inspect()
    expect(held).toMatchObject({ Privileged: true, PidMode: 'host', NetworkMode: 'host' })
    expect(Mounts.map(({ Type, Destination }) => `${Type} ${Destination}`)).toContain('bind /var/run/docker.sock')
    expect(Config.Env).toContain(`PORT=${new URL(address).port}`)
    expect(Config.User).toBe('1000:1000')
  })
})
