/** What the engine, its disk, its clock of starts and other people do to containers; each is told, and nothing is lost. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { gone, never, refOf, specOf, state, until } from '../contract/backend.contract.ts'
import { docker, engineAnswers, host } from './engine.ts'
import { openProxy } from './proxy.ts'
import { engineScene, probe } from './scene.ts'

const { backend, fresh, image, operatorInstance } = await engineScene('faults', probe)

describe.skipIf(!engineAnswers)('with an engine', () => {
  const containersOf = (uid: string) => docker.listContainers({ all: true, filters: { name: [uid] } })
  /** A backend whose engine answers so to the next request of that kind, and as always after that. */
  async function failingOnce(method: string, path: RegExp, code: number, message: string): Promise<DockerBackend> {
    let left = 1
    const proxy = await openProxy(host, (asked) =>
      asked.method === method && path.test(asked.url ?? '') && left-- > 0 ? { code, body: { message } } : undefined,
    )
    onTestFinished(() => proxy.close())
    return new DockerBackend({ host: proxy.host, operatorInstance })
  }

  test('a start that the engine kept half of is taken away and made anew', async () => {
    const uid = fresh()
    const broken = await failingOnce('POST', /\/start/, 500, 'task 3f2a already exists: unknown')
    await expect(broken.ensure(specOf(image, uid), never)).rejects.toMatchObject({ name: 'RetryAfter' })
    expect(await containersOf(uid)).toEqual([])
    await broken.ensure(specOf(image, uid), never)
    await state(backend, uid, 'running')
  })

  test.each([
    ['create', 'POST', /\/containers\/create/],
    ['delivery', 'PUT', /\/archive/],
    ['start', 'POST', /\/start/],
  ])('a full disk at the %s is a wait of a minute, and what was begun is finished', async (_, method, path) => {
    const uid = fresh()
    const full = await failingOnce(method, path, 500, 'write /var/lib/docker/x: no space left on device')
    await expect(full.ensure(specOf(image, uid), never)).rejects.toMatchObject({
      name: 'RetryAfter',
      after: 60_000,
      message: expect.stringContaining('disk'),
    })
    await full.ensure(specOf(image, uid), never)
    await state(backend, uid, 'running')
    expect(await containersOf(uid)).toHaveLength(1)
  })

  test('a foreign container of that name is named, and stays as it is', async () => {
    const uid = fresh()
    const foreign = await docker.createContainer({ name: `ws-${uid}`, Image: image })
    onTestFinished(() => foreign.remove({ force: true }).then(() => undefined))
    expect(await backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
    for (let twice = 0; twice < 2; twice++)
      await expect(backend.ensure(specOf(image, uid), never)).rejects.toMatchObject({
        reason: 'NameTaken',
        message: `container ws-${uid} (${foreign.id.slice(0, 12)}) exists and is not this operator's`,
      })
    expect(await backend.remove(refOf(uid), 'delete', never)).toBe('gone')
    expect((await foreign.inspect()).State.Status).toBe('created')
  })

  test('what belongs to nobody of the system before is not adopted', async () => {
    const uid = fresh()
    const plain = await docker.createContainer({ name: `plain-${uid}`, Image: image, Entrypoint: ['/usr/bin/node'] })
    onTestFinished(() => plain.remove({ force: true }).then(() => undefined))
    await expect(backend.adopt(refOf(uid), plain.id, never)).rejects.toMatchObject({
      reason: 'AdoptionRefused',
      message: expect.stringContaining('molecule.platform.managed=true'),
    })
    expect((await plain.inspect()).Name).toBe(`/plain-${uid}`)
  })

  test('who restarts an adopted container is the operator alone, and it goes on running', async () => {
    const uid = fresh()
    const Labels = { 'molecule.platform.managed': 'true' }
    const HostConfig = { RestartPolicy: { Name: 'unless-stopped' } }
    const Entrypoint = ['/usr/bin/node', '-e', 'setInterval(() => {}, 1 << 30)']
    const old = await docker.createContainer({
      name: `old-${uid}`,
      Image: image,
      Entrypoint,
      Cmd: [],
      Labels,
      HostConfig,
    })
    await old.start()
    const before = await old.inspect()
    await backend.adopt(refOf(uid), old.id.slice(0, 12), never)
    const after = await old.inspect()
    expect(after.HostConfig.RestartPolicy).toMatchObject({ Name: 'no' })
    expect(after.State).toMatchObject({ Pid: before.State.Pid, StartedAt: before.State.StartedAt })
  })

  test('an agent that takes more memory than it may is ended, and that is said', async () => {
    const uid = fresh()
    const spec = specOf(image, uid, { PROBE_HOARD: '1' })
    await backend.ensure({ ...spec, limits: { ...spec.limits, memoryBytes: 96 << 20 } }, never)
    // The engine hears of the end and of the memory from two sides.
    await until('the end is told with its reason', async () => {
      const seen = await backend.observe(refOf(uid), never)
      return seen.state === 'exited' && seen.detail.includes('out of memory')
    })
  })

  test('a container removed by hand is told, absent, and made again with its volumes', async () => {
    const uid = fresh()
    await backend.ensure(specOf(image, uid), never)
    const starts = () => backend.logs(refOf(uid), 64_000, never).then((log) => /"starts":(\d+)/.exec(log)?.[1])
    expect(await until('it speaks', starts)).toBe('1')
    const stop = new AbortController()
    const told: string[] = []
    const reading = (async () => {
      for await (const ref of backend.changes(stop.signal)) told.push(ref.uid)
    })()
    await until('the first list is told', async () => told.includes(uid))
    await docker.getContainer(`ws-${uid}`).remove({ force: true })
    await until('the removal is told', async () => told.filter((each) => each === uid).length > 1)
    stop.abort()
    await reading
    expect(await backend.observe(refOf(uid), never)).toEqual({ state: 'absent' })
    await backend.ensure(specOf(image, uid), never)
    expect(await until('it speaks', starts)).toBe('2')
  })

  test('a volume removed by hand is made again', async () => {
    const uid = fresh()
    await backend.ensure(specOf(image, uid), never)
    await gone(backend, uid, 'keep')
    await docker.getVolume(`ws-${uid}-configs`).remove()
    await backend.ensure(specOf(image, uid), never)
    await state(backend, uid, 'running')
    expect((await docker.getVolume(`ws-${uid}-configs`).inspect()).Labels).toMatchObject({ 'molecule.dev/uid': uid })
  })

  test('a tier with more CPUs than the machine has gets all of them', async () => {
    const uid = fresh()
    const { NCPU } = (await docker.info()) as { NCPU: number }
    const spec = specOf(image, uid)
    await backend.ensure({ ...spec, limits: { ...spec.limits, cpus: NCPU + 2 } }, never)
    await state(backend, uid, 'running')
    expect((await docker.getContainer(`ws-${uid}`).inspect()).HostConfig.NanoCpus).toBe(NCPU * 1e9)
  })
})
