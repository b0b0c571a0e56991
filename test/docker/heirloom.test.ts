/** What a container kept before it was adopted goes on with those that follow it, and goes when it is told to. */
import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { gone, never, probeLine, refOf, specOf, state, until } from '../contract/backend.contract.ts'
import { docker, engineAnswers } from './engine.ts'
import { engineScene } from './scene.ts'

/** Says what it finds where the one before left something, and whether it may add to it. */
const program = `
import { readdirSync, writeFileSync } from 'node:fs'
const seen = (path) => { try { return readdirSync(path).filter((name) => name.startsWith('old')) } catch { return [] } }
writeFileSync('/workspace/new', 'x')
console.log('probe ' + JSON.stringify(['/configs', '/workspace', '/cache'].map(seen)))
setInterval(() => {}, 1 << 30)
`

/** What the container before writes: as the agents of the system before, as user 1000. */
const before = `
const fs = require('node:fs')
for (const path of ['/configs', '/workspace', '/cache']) if (fs.existsSync(path)) {
  fs.writeFileSync(path + '/old-' + path.slice(1), 'x')
  fs.chownSync(path, 1000, 1000)
}
console.log('probe 1')
setInterval(() => {}, 1 << 30)
`

const strangers: string[] = []
// Hooks run from the last to the first: volumes that are still there once the containers went.
afterAll(async () => {
  for (const name of strangers)
    await docker
      .getVolume(name)
      .remove()
      .catch(() => undefined)
})
const { backend, fresh, image } = await engineScene('heirs', program)

describe.skipIf(!engineAnswers)('with an engine', () => {
  const run = randomUUID().slice(0, 8)
  const has = async (volume: string) => (await docker.listVolumes({ filters: { name: [volume] } })).Volumes.length > 0
  const named = (name: string) => strangers[strangers.push(name) - 1] ?? ''
  /** A container of the system before, with volumes by their places; `''` is one without a name. */
  const stranger = async (volumes: Readonly<Record<string, string>>) => {
    const container = await docker.createContainer({
      Image: image,
      Entrypoint: ['/usr/bin/node', '-e', before],
      Cmd: [],
      User: '0',
      Labels: { 'molecule.platform.managed': 'true' },
      HostConfig: {
        Mounts: Object.entries(volumes).map(([Target, Source]) => ({ Type: 'volume' as const, Source, Target })),
      },
    })
    onTestFinished(() => container.remove({ force: true, v: true }).catch(() => undefined))
    await container.start()
    await until('it has written', async () => String(await container.logs({ stdout: true })).includes('probe 1'))
    return container
  }
  const heirOf = (uid: string, adopted: NonNullable<InstanceSpec['adopted']>) => ({ ...specOf(image, uid), adopted })
  const found = async (uid: string): Promise<unknown> =>
    JSON.parse(await until('it speaks', async () => probeLine(await backend.logs(refOf(uid), 64_000, never))))
  const old = [['old-configs'], ['old-workspace'], ['old-cache']]

  test('its volumes, named or not, are those of its replacements, and are deleted with the last of them', async () => {
    const [uid, configs] = [fresh(), named(`heirs-${run}-configs`)]
    const container = await stranger({ '/configs': configs, '/workspace': '', '/cache': '' })
    const { Mounts } = await container.inspect()
    await backend.adopt(refOf(uid), container.id, never)
    for (const _ of ['the first', 'the second']) {
      await gone(backend, uid, 'keep')
      await backend.ensure(heirOf(uid, {}), never)
      await state(backend, uid, 'running')
      expect(await found(uid)).toEqual(old)
    }
    const { Mounts: inherited } = await docker.getContainer(`ws-${uid}`).inspect()
    expect(new Set(inherited.map(({ Name }) => Name))).toEqual(new Set(Mounts.map(({ Name }) => Name)))
    await gone(backend, uid, 'delete')
    for (const { Name = '' } of Mounts) expect(await has(Name)).toBe(false)
    expect((await docker.listVolumes({ filters: { name: [uid] } })).Volumes).toEqual([])
  })

  test('where sessions lay in one, they go on in it, and a reset empties it alone', async () => {
    const uid = fresh()
    const container = await stranger({ '/configs': '', '/cache': '' })
    const { Mounts } = await container.inspect()
    const kept = Mounts.find(({ Destination }) => Destination === '/cache')?.Name
    await backend.adopt(refOf(uid), container.id, never)
    await gone(backend, uid, 'keep')
    const heir = { ...heirOf(uid, {}), sessionsPath: '/cache' }
    await backend.ensure(heir, never)
    expect(await found(uid)).toEqual([['old-configs'], [], ['old-cache']])
    const volumeAt = async (path: string) =>
      (await docker.getContainer(`ws-${uid}`).inspect()).Mounts.find(({ Destination }) => Destination === path)?.Name
    expect(await volumeAt('/cache')).toBe(kept)
    await gone(backend, uid, 'keep')
    for (let twice = 0; twice < 2; twice++) await backend.resetSessions(heir, never)
    await backend.ensure(heir, never)
    expect(await found(uid)).toEqual([['old-configs'], [], []])
    await gone(backend, uid, 'delete')
    for (const { Name = '' } of Mounts) expect(await has(Name)).toBe(false)
    expect((await docker.listVolumes({ filters: { name: [uid] } })).Volumes).toEqual([])
  })

  test('one that others use as well stays', async () => {
    const [uid, shared] = [fresh(), named(`heirs-${run}-shared`)]
    const container = await stranger({ '/cache': shared })
    const other = await stranger({ '/cache': shared })
    await backend.adopt(refOf(uid), container.id, never)
    await gone(backend, uid, 'delete')
    expect(await has(shared)).toBe(true)
    expect((await docker.listVolumes({ filters: { name: [uid] } })).Volumes).toEqual([])
    await other.remove({ force: true })
  })

  test('a crash before they were written down loses none: they are, before the container goes', async () => {
    const [uid, configs] = [fresh(), named(`heirs-${run}-crash`)]
    const container = await stranger({ '/configs': configs })
    await backend.adopt(refOf(uid), container.id, never)
    await docker.getVolume(`ws-${uid}-heirlooms`).remove()
    await gone(backend, uid, 'keep')
    await backend.ensure(heirOf(uid, {}), never)
    await state(backend, uid, 'running')
    expect(await found(uid)).toEqual([['old-configs'], [], []])
  })

  test('a container gone before the adoption left volumes that its row names; a mere id names none', async () => {
    const row = randomUUID()
    const work = named(`ws-${row}-workspace`)
    const container = await stranger({ '/workspace': work, '/configs': named(`ws-${row.slice(0, 12)}-configs`) })
    await container.remove({ force: true, v: true })
    const foreign = named(`ws-${row.slice(0, 12)}-claude-sessions`)
    await docker.createVolume({ Name: foreign, Labels: { 'molecule.dev/operator': 'another' } })
    const [uid, claimant] = [fresh(), fresh()]
    await backend.ensure(heirOf(claimant, {}), never)
    expect(await found(claimant)).toEqual([[], [], []])
    await backend.ensure(heirOf(uid, { row }), never)
    expect(await found(uid)).toEqual([['old-configs'], ['old-workspace'], []])
    const { Mounts } = await docker.getContainer(`ws-${uid}`).inspect()
    expect(Mounts.map(({ Name }) => Name)).not.toContain(foreign)
    await gone(backend, claimant, 'delete')
    expect(await has(work)).toBe(true)
    await gone(backend, uid, 'delete')
    expect(await has(work)).toBe(false)
  })

  test('of two rows whose ids begin alike, none is given the volumes of the other', async () => {
    const row = randomUUID()
    const configs = named(`ws-${row.slice(0, 12)}-configs`)
    const [owner, other] = [fresh(), fresh()]
    const container = await stranger({ '/configs': configs })
    await backend.adopt(refOf(owner), container.id, never)
    const alike = `${row.slice(0, 12)}${randomUUID().slice(12)}`
    const mounts = async () => {
      await backend.ensure(heirOf(other, { row: alike }), never)
      const { Mounts } = await docker.getContainer(`ws-${other}`).inspect()
      await gone(backend, other, 'delete')
      return Mounts.map(({ Name }) => Name)
    }
    expect(await mounts()).not.toContain(configs)
    // The container alone says it, too; and so does the note alone, once the container is gone.
    await docker.getVolume(`ws-${owner}-heirlooms`).remove()
    expect(await mounts()).not.toContain(configs)
    await gone(backend, owner, 'keep')
    expect(await mounts()).not.toContain(configs)
    expect(await has(configs)).toBe(true)
    await gone(backend, owner, 'delete')
  })
})
