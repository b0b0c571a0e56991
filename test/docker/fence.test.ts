/** No request that changes something is sent once the right to act is lost, wherever in a call that happens. */
import { randomUUID } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { Fenced } from '../../src/errors.ts'
import { never, refOf, specOf, state } from '../contract/backend.contract.ts'
import { docker, engineAnswers, host } from './engine.ts'
import { openProxy } from './proxy.ts'
import { engineScene } from './scene.ts'

const changes = (lines: readonly string[]) => lines.filter((line) => !/^(GET|HEAD) /.test(line))

const { backend, fresh, image, operatorInstance } = await engineScene('fence', 'setInterval(() => {}, 1 << 30)')

describe.skipIf(!engineAnswers)('with an engine', () => {
  test('lost while the engine makes the container: no token is put into it, nothing is started or removed', async () => {
    const uid = fresh()
    let leads = true
    const proxy = await openProxy(host, undefined, {
      answered: ({ url }) => {
        if (url?.includes('/containers/create')) leads = false
      },
    })
    onTestFinished(() => proxy.close())
    const frozen = new DockerBackend({ host: proxy.host, operatorInstance })
    const guard = () => {
      if (!leads) throw new Fenced('another leads')
    }
    await expect(frozen.ensure(specOf(image, uid), never, guard)).rejects.toMatchObject({ name: 'Fenced' })
    const sent = changes(proxy.requests).map((line) => line.replace(/\?.*/, ''))
    expect(sent.filter((line) => line !== 'POST /networks/create')).toEqual(['POST /containers/create'])
    expect(await backend.observe(refOf(uid), never)).toMatchObject({ state: 'created' })
  })

  test('each request that changes something is asked for by itself: launch, adoption, removal with volumes and network', async () => {
    const proxy = await openProxy(host)
    onTestFinished(() => proxy.close())
    const seen = new DockerBackend({ host: proxy.host, operatorInstance: `alone-${randomUUID()}` })
    let asked = 0
    /** How many requests there were when the guard was asked: one more each time. */
    const before: number[] = []
    const guard = () => {
      asked++
      before.push(changes(proxy.requests).length)
    }
    const uid = fresh()
    await seen.ensure(specOf(image, uid), never, guard)
    await state(seen, uid, 'running')
    while ((await seen.remove(refOf(uid), 'delete', never, guard)) !== 'gone');
    const adopted = fresh()
    const stranger = await docker.createContainer({
      Image: image,
      Labels: { 'molecule.platform.managed': 'true' },
      HostConfig: { Mounts: [{ Type: 'volume', Source: `fence-${adopted}`, Target: '/kept' }] },
    })
    await stranger.start()
    await seen.adopt(refOf(adopted), stranger.id, never, guard)
    while ((await seen.remove(refOf(adopted), 'delete', never, guard)) !== 'gone');
    const sent = changes(proxy.requests)
    expect(sent.length).toBeGreaterThan(12)
    expect(asked).toBe(sent.length)
    expect(before).toEqual(sent.map((_, at) => at))
  })
})
