/** What only Docker has: the body that is sent, the engine's failures, crashes between its calls, its event stream. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { gone, never, probeLine, refOf, specOf, state, until } from '../contract/backend.contract.ts'
import { docker, engineAnswers, host } from './engine.ts'
import { openProxy } from './proxy.ts'
import { engineScene, probe } from './scene.ts'

test('an engine that does not answer is unknown, never absent', async () => {
  const dead = new DockerBackend({ host: 'unix:///nonexistent/docker.sock', operatorInstance: 'x' })
  expect(await dead.observe(refOf(randomUUID()), never)).toMatchObject({
    state: 'unknown',
    cause: expect.stringMatching(/./),
  })
  await expect(dead.remove(refOf(randomUUID()), 'delete', never)).rejects.toThrow(/connect/)
  await expect(dead.ensure(specOf('image', randomUUID()), never)).rejects.toThrow(/Docker engine/)
})

test.each([
  ['404 of something else than the engine', 404, 'page not found'],
  ['a failure of the engine', 500, 'No such container, or so I believe'],
])('%s is unknown, never absent', async (_, code, message) => {
  const proxy = await openProxy(host, ({ url }) =>
    /ws-.*json/.test(url ?? '') ? { code, body: { message } } : { code: 200, body: [] },
  )
  onTestFinished(() => proxy.close())
  const backend = new DockerBackend({ host: proxy.host, operatorInstance: 'x' })
  expect(await backend.observe(refOf(randomUUID()), never)).toMatchObject({ state: 'unknown' })
})

const { backend, fresh, image, operatorInstance } = await engineScene('docker', probe)

describe.skipIf(!engineAnswers)('with an engine', () => {
  const containersOf = (uid: string) =>
    docker.listContainers({ all: true, filters: { label: [`molecule.dev/uid=${uid}`] } })
  const said = async (uid: string) =>
    JSON.parse(
      await until('the probe speaks', async () => probeLine(await backend.logs(refOf(uid), 64_000, never))),
    ) as { env: Record<string, string> }

  test('a container is held by its limits and has no way out', async () => {
    const uid = fresh()
    await backend.ensure(specOf(image, uid), never)
    await state(backend, uid, 'running')
    const { HostConfig: held, Config, Name, NetworkSettings, Mounts } = await docker.getContainer(`ws-${uid}`).inspect()
    expect(Name).toBe(`/ws-${uid}`)
    expect(held).toMatchObject({
      Memory: 256 << 20,
      MemorySwap: 256 << 20,
      NanoCpus: 1e9,
      PidsLimit: 64,
      Privileged: false,
      CapAdd: null,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
      Binds: null,
      PidMode: '',
      IpcMode: 'private',
    })
    expect(Config.User).toBe('1000:1000')
    expect(Mounts.map(({ Type, Name: volume, Destination }) => `${Type} ${volume} ${Destination}`).sort()).toEqual([
      `volume ws-${uid}-configs /configs`,
      `volume ws-${uid}-workspace /workspace`,
    ])
    const [network] = Object.values(NetworkSettings.Networks)
    expect(network?.Aliases).toContain(`ws-${uid}`)
    expect(NetworkSettings.Ports['8000/tcp']).toMatchObject([{ HostIp: '127.0.0.1' }])
    expect(Config.Labels).toMatchObject({
      'molecule.dev/operator': operatorInstance,
      'molecule.dev/namespace': 'contract',
      'molecule.dev/name': refOf(uid).name,
      'molecule.dev/uid': uid,
      'molecule.dev/spec-hash': 'hash-1',
    })
    const volume = await docker.getVolume(`ws-${uid}-configs`).inspect()
    expect(volume.Labels).toMatchObject({ 'molecule.dev/operator': operatorInstance, 'molecule.dev/uid': uid })
  })

  test('a read-only root keeps /configs, and has no /workspace volume', async () => {
    const uid = fresh()
    const spec = specOf(image, uid)
    await backend.ensure({ ...spec, limits: { ...spec.limits, readOnlyRoot: true } }, never)
    expect(await said(uid)).toMatchObject({ token: `token-of-${uid}`, tokenMode: '600', starts: 1 })
    const { HostConfig: held, Mounts } = await docker.getContainer(`ws-${uid}`).inspect()
    expect(held.ReadonlyRootfs).toBe(true)
    expect(Mounts.map(({ Destination }) => Destination)).toEqual(['/configs'])
  })

  test('a folder of sessions is a volume of ours; under a read-only root there is none', async () => {
    const [uid, sealed] = [fresh(), fresh()]
    const path = '/home/agent/.claude/sessions'
    await backend.ensure({ ...specOf(image, uid), sessionsPath: path }, never)
    expect(await said(uid)).toMatchObject({ sessions: 1, env: { SESSIONS_DIR: path } })
    const { Labels } = await docker.getVolume(`ws-${uid}-sessions`).inspect()
    expect(Labels).toMatchObject({ 'molecule.dev/operator': operatorInstance, 'molecule.dev/uid': uid })
    const spec = specOf(image, sealed)
    await backend.ensure({ ...spec, limits: { ...spec.limits, readOnlyRoot: true }, sessionsPath: path }, never)
    expect((await said(sealed)).env).not.toHaveProperty('SESSIONS_DIR')
    const { Mounts } = await docker.getContainer(`ws-${sealed}`).inspect()
    expect(Mounts.map(({ Destination }) => Destination)).toEqual(['/configs'])
  })

  test('a volume of sessions that another container uses is not emptied, and that is told', async () => {
    const uid = fresh()
    const spec = { ...specOf(image, uid), sessionsPath: '/srv/sessions' }
    await backend.ensure(spec, never)
    await said(uid)
    await expect(backend.resetSessions(spec, never)).rejects.toMatchObject({
      name: 'RetryAfter',
      message: expect.stringContaining(`volume ws-${uid}-sessions is in use`),
    })
  })

  test("the environment is the spec's, under what the place decides", async () => {
    const uid = fresh()
    await backend.ensure(specOf(image, uid, { ROLE: 'chief', PORT: '1', WORKSPACE_CONFIG_PATH: '/etc' }), never)
    expect((await said(uid)).env).toMatchObject({
      ROLE: 'chief',
      PORT: '8000',
      WORKSPACE_CONFIG_PATH: '/configs',
      MOLECULE_WORKSPACE_URL: `http://ws-${uid}:8000`,
    })
  })

  test('a launch is create, archive, start and one look, and no secret is in a URL', async () => {
    const uid = fresh()
    const proxy = await openProxy(host)
    onTestFinished(() => proxy.close())
    const counted = new DockerBackend({ host: proxy.host, operatorInstance })
    await counted.ensure(specOf(image, fresh()), never)
    expect(await counted.observe(refOf(uid), never)).toEqual({ state: 'absent' })
    proxy.requests.length = 0
    await counted.ensure(specOf(image, uid, { API_KEY: 'planted-secret' }), never)
    expect(proxy.requests.map((line) => line.replace(/[0-9a-f]{64}/, 'ID').replace(/\?.*/, ''))).toEqual([
      'POST /containers/create',
      'PUT /containers/ID/archive',
      'POST /containers/ID/start',
      'GET /containers/ID/json',
    ])
    expect(proxy.requests.join()).not.toContain('planted-secret')
    expect(JSON.stringify((await containersOf(uid))[0])).not.toContain('planted-secret')
  })

  test('an image of another platform is as good as none', async () => {
    const uid = fresh()
    const spec = { ...specOf(image, uid), platform: 'linux/s390x' }
    const refusal = {
      reason: 'ImageMissing',
      message: expect.stringContaining(`image "${image}" for linux/s390x is not on the Docker host`),
    }
    await expect(backend.prepare(spec, never)).rejects.toMatchObject(refusal)
    await expect(backend.ensure(spec, never)).rejects.toMatchObject(refusal)
    expect(await containersOf(uid)).toEqual([])
    const own = { ...spec, platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}` }
    await backend.prepare(own, never)
    await backend.ensure(own, never)
    await state(backend, uid, 'running')
  })

  test('an image of a registry that cannot be reached is tried again later', { timeout: 180_000 }, async () => {
    const uid = fresh()
    const asked = () =>
      backend.ensure(specOf('registry.invalid/team/agent:1', uid), never).then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof Error && /is being pulled/.test(error.message)) return undefined
          throw error
        },
      )
    // However long the machine's name servers take to say that there is no such name.
    await expect(until('the pull fails', asked, 120_000)).rejects.toMatchObject({
      name: 'RetryAfter',
      message: expect.stringContaining('registry.invalid/team/agent:1'),
    })
    expect(await containersOf(uid)).toEqual([])
  })

  test('a container that was renamed by hand is still found, and removed', async () => {
    const uid = fresh()
    await backend.ensure(specOf(image, uid), never)
    const { id } = await state(backend, uid, 'running')
    await docker.getContainer(`ws-${uid}`).rename({ name: `renamed-${uid}` })
    expect(await state(backend, uid, 'running')).toMatchObject({ id })
    await gone(backend, uid, 'delete')
    expect(await containersOf(uid)).toEqual([])
  })

  test('the network is made again after someone removed it', async () => {
    const operator = `alone-${randomUUID()}`
    const alone = new DockerBackend({ host, operatorInstance: operator })
    const uid = fresh()
    onTestFinished(async () => {
      await gone(alone, uid, 'delete')
      await alone.removeNetworks(never)
    })
    await alone.ensure(specOf(image, uid), never)
    await gone(alone, uid, 'keep')
    const [network] = await docker.listNetworks({ filters: { label: [`molecule.dev/operator=${operator}`] } })
    await docker.getNetwork(network?.Id ?? '').remove()
    await until('it runs again', () =>
      alone.ensure(specOf(image, uid), never).then(
        () => true,
        () => false,
      ),
    )
    await state(alone, uid, 'running')
  })

  test.each(['created', 'delivered'])('killed after "%s": adopted, one container, whole', async (point) => {
    const uid = fresh()
    const runner = spawn(process.execPath, [join(import.meta.dirname, 'runner.ts'), point], {
      env: {
        PATH: process.env['PATH'],
        HOST: host,
        INSTANCE: operatorInstance,
        SPEC: JSON.stringify(specOf(image, uid)),
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    expect(await ended(runner)).toBe('SIGKILL')
    expect(await backend.observe(refOf(uid), never)).toMatchObject({ state: 'created', specHash: 'hash-1' })
    const [left] = await containersOf(uid)
    // The next pass has credentials of its own: those of the launch that was cut off open nothing any more.
    const second = { ...specOf(image, uid), token: 'the second token', inboundSecret: 'the second secret' }
    expect(await backend.ensure(second, never)).toMatchObject({ id: left?.Id })
    expect(await said(uid)).toMatchObject({ token: 'the second token', secret: 'the second secret', starts: 1 })
    expect(await containersOf(uid)).toHaveLength(1)
  })

  /** A container that runs, and a backend behind a proxy that told of it: `told` has what it tells from then on. */
  async function watched() {
    const uid = fresh()
    const proxy = await openProxy(host)
    onTestFinished(() => proxy.close())
    const watching = new DockerBackend({ host: proxy.host, operatorInstance })
    await backend.ensure(specOf(image, uid), never)
    await state(backend, uid, 'running')
    const stop = new AbortController()
    const told: string[] = []
    const reading = (async () => {
      for await (const ref of watching.changes(stop.signal)) told.push(ref.uid)
    })()
    await until('the first list is told', async () => told.includes(uid))
    const end = async () => {
      stop.abort()
      await reading
    }
    return { uid, proxy, watching, told, end }
  }

  test('what happened while the event stream was down is told when it is back', async () => {
    const { uid, proxy, told, end } = await watched()
    proxy.sever()
    await docker.getContainer(`ws-${uid}`).kill()
    await state(backend, uid, 'exited')
    told.length = 0
    proxy.mend()
    await until('the death is told', async () => told.includes(uid))
    await end()
  })

  test('while the engine does not answer, what is known to run is told as one to look at, and a look is unknown', async () => {
    const { uid, proxy, watching, told, end } = await watched()
    told.length = 0
    proxy.sever()
    await until('it is told', async () => told.includes(uid))
    expect(await watching.observe(refOf(uid), never)).toMatchObject({ state: 'unknown' })
    await end()
  })
})

async function ended(child: ChildProcess): Promise<string | number | null> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return signal ?? code
}
