/** A stream of events that is open and tells nothing: by a middleman that swallows it, in front of a real engine. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { milliseconds, seconds, type Duration } from '../../src/duration.ts'
import { gone, never, specOf, state, until } from '../contract/backend.contract.ts'
import { docker, engineAnswers, host } from './engine.ts'
import { openProxy } from './proxy.ts'
import { engineScene, probe } from './scene.ts'

const { backend, fresh, image, operatorInstance } = await engineScene('silence', probe)

describe.skipIf(!engineAnswers)('with an engine', () => {
  /** What is told through a proxy from now on, and what was asked for it. */
  async function follow(silence: Duration) {
    const proxy = await openProxy(host)
    const stop = new AbortController()
    const told: string[] = []
    const untold: boolean[] = []
    const watching = new DockerBackend({ host: proxy.host, operatorInstance, silence })
    const reading = (async () => {
      for await (const { uid } of watching.changes(stop.signal, (again) => untold.push(again))) told.push(uid)
    })()
    onTestFinished(async () => {
      stop.abort()
      await reading
      await proxy.close()
    })
    const asked = (path: string) => proxy.requests.filter((line) => line.includes(path)).length
    return {
      untold,
      mute: proxy.mute,
      times: (uid: string) => told.filter((each) => each === uid).length,
      streams: () => asked('/events'),
      lists: () => asked('/containers/json'),
    }
  }

  test('what it swallows is told after a silence, and it is opened anew until it tells; a quiet one is kept', async () => {
    const uid = fresh()
    await backend.ensure(specOf(image, uid), never)
    await state(backend, uid, 'running')
    const { untold, mute, times, streams, lists } = await follow(milliseconds(500))
    await until('the first list to be told', async () => times(uid) === 1)
    mute(/\/events/)
    await docker.getContainer(`ws-${uid}`).kill()
    await until('the end to be told', async () => times(uid) > 1)
    await until('the stream to be opened anew', async () => streams() === 2)
    expect(untold).toEqual([false])
    const before = times(uid)
    await gone(backend, uid, 'delete')
    await until('the removal to be told', async () => times(uid) > before)
    await until('the stream to be opened once more', async () => streams() === 3)
    expect(untold).toEqual([false, true])

    mute(undefined)
    const another = fresh()
    await backend.ensure(specOf(image, another), never)
    await until('the start to be told', async () => times(another) > 0)
    const seen = lists()
    await until('three more looks, of two lists each', async () => lists() >= seen + 6)
    expect(streams()).toBe(3)
    expect(untold).toHaveLength(2)
  })

  test('while events come, of any container, there is no list', async () => {
    const foreign = await docker.createContainer({ Image: image, Entrypoint: ['/usr/bin/node', '-e', ''], Cmd: [] })
    onTestFinished(() => foreign.remove({ force: true }).then(() => undefined))
    const { lists } = await follow(seconds(5))
    await until('the first list', async () => lists() === 2)
    for (const end = performance.now() + 12_000; performance.now() < end;) {
      await foreign.start()
      await foreign.wait()
    }
    // That there is one once it is quiet, the test above shows: beside other tests, whose containers have events, it rarely is.
    expect(lists()).toBe(2)
  })
})
