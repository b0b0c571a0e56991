/** How much disk agents take, as the engine says. */
import { describe, expect, test } from 'vitest'
import { never, refOf, specOf, state, until } from '../contract/backend.contract.ts'
import { docker, engineAnswers } from './engine.ts'
import { engineScene } from './scene.ts'

const mebibyte = 1 << 20
const program = `
import { writeFileSync } from 'node:fs'
const many = (n) => Buffer.alloc(n << 20, 'x')
writeFileSync('/workspace/kept', many(Number(process.env.VOLUME ?? 0)))
writeFileSync('/tmp/own', many(Number(process.env.LAYER ?? 0)))
console.log('written')
setInterval(() => {}, 1 << 30)
`

const { backend, fresh, image } = await engineScene('disk', program)

describe.skipIf(!engineAnswers)('with an engine', () => {
  test('files in the own layer and in volumes count, for the agent whose they are', async () => {
    const [big, small] = [fresh(), fresh()]
    await backend.ensure(specOf(image, big, { VOLUME: '24', LAYER: '8' }), never)
    await backend.ensure(specOf(image, small), never)
    for (const uid of [big, small])
      await until('it has written', async () => (await backend.logs(refOf(uid), 1000, never)).includes('written'))
    const found = new Map((await backend.disk(never)).map(({ ref, bytes }) => [ref.uid, bytes]))
    expect([...found.keys()].sort()).toEqual([big, small].sort())
    expect(found.get(big)).toBeGreaterThanOrEqual(32 * mebibyte)
    expect(found.get(big)).toBeLessThan(40 * mebibyte)
    expect(found.get(small)).toBeLessThan(mebibyte)
  })

  test('a tier with a limit of disk runs, also where the storage driver can bound no layer', async () => {
    const uid = fresh()
    const spec = specOf(image, uid)
    await backend.ensure({ ...spec, limits: { ...spec.limits, diskBytes: 2 ** 30 } }, never)
    await state(backend, uid, 'running')
    const { StorageOpt } = (await docker.getContainer(`ws-${uid}`).inspect()).HostConfig as { StorageOpt?: unknown }
    expect([null, undefined, { size: String(2 ** 30) }]).toContainEqual(StorageOpt)
  })
})
