/** What needs an engine of our own: one that is held and stopped, a registry that it trusts, and a metadata address. */
import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { metadataAddresses } from '../../src/backends/docker/translate.ts'
import { buildNodeImage } from '../../src/dev/agent-image.ts'
import { gone, never, refOf, specOf, state, until } from '../contract/backend.contract.ts'
import { startEngine, type OwnEngine } from '../faults/own-engine.ts'
import { login, openRegistry, type Manner } from './registry.ts'

/** Asks each URL once, and says what came of it. */
const program = `
import { get } from 'node:http'
const ask = (url) => new Promise((resolve) =>
  get(url, { timeout: 10_000 }, (r) => { r.resume(); resolve('answered ' + r.statusCode) })
    .on('timeout', function () { this.destroy(new Error('silence')) })
    .on('error', (e) => resolve('failed ' + (e.code ?? e.message))))
process.on('SIGTERM', () => process.exit(0))
const found = {}
for (const url of JSON.parse(process.env.URLS)) found[url] = await ask(url)
console.log('probe ' + JSON.stringify(found))
setInterval(() => {}, 1 << 30)
`
const metadata = metadataAddresses.map((address) => `http://${address}/`)
const arch = process.arch === 'x64' ? 'amd64' : process.arch

const started = await startEngine(1)
if ('impossible' in started) console.error(`\n*** NO ENGINE OF OUR OWN (${started.impossible}): SKIPPED ***\n`)
const own = 'impossible' in started ? undefined : started

if (own === undefined) test.skip('an engine of our own cannot be had here', () => {})
else withEngine(own)

function withEngine(engine: OwnEngine): void {
  const backend = new DockerBackend({ host: engine.host, operatorInstance: `own-${randomUUID()}` })
  const used: string[] = []
  const fresh = () => used[used.push(randomUUID()) - 1] ?? ''
  let asking = ''

  beforeAll(async () => {
    asking = await buildNodeImage({ docker: engine.docker, name: 'molecule-asks', program })
  }, 180_000)
  afterAll(async () => {
    for (const uid of used) await gone(backend, uid, 'delete').catch(() => undefined)
    await engine[Symbol.asyncDispose]()
  }, 180_000)

  const saidIn = (log: string): unknown => {
    const [, found] = /probe (\{.*\})/.exec(log) ?? []
    return found === undefined ? undefined : JSON.parse(found)
  }

  const answer = (image: string) =>
    backend.prepare({ image }, never).then(
      () => 'there',
      (error: Error) => `${error.name}: ${error.message}`,
    )
  /** What everyone is told once the pull has ended, which may take longer than one who asks waits. */
  const pulled = (image: string) =>
    until('the end of the pull', async () => {
      const told = await answer(image)
      return !told.includes('is being pulled') && told
    })

  test('the metadata addresses answer a plain container, not a workspace, and still the machine', async () => {
    const ip = (...args: string[]) => promisify(execFile)('ip', ['-n', engine.net, ...args])
    for (const address of metadataAddresses) await ip('addr', 'add', `${address}/32`, 'dev', 'lo')
    const script = `require('http').createServer((q, r) => r.end('secret')).listen(80, '0.0.0.0', () => console.log('up'))`
    const inside = [`--net=/run/netns/${engine.net}`, process.execPath]
    const server = spawn('nsenter', [...inside, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void server.kill('SIGKILL'))
    await once(server.stdout, 'data')

    const answers = Object.fromEntries(metadata.map((url) => [url, 'answered 200']))
    const Env = [`URLS=${JSON.stringify(metadata)}`]
    const plain = await engine.docker.createContainer({ Image: asking, Env })
    onTestFinished(() => plain.remove({ force: true }).then(() => undefined))
    await plain.start()
    const heard = async () => saidIn((await plain.logs({ stdout: true, stderr: true })).toString())
    expect(await until('the plain one has asked', heard)).toEqual(answers)

    const uid = fresh()
    // What is the machine's and no metadata stays within reach.
    const machine = `http://${engine.here.replace(/1$/, '2')}/`
    await backend.ensure(specOf(asking, uid, { URLS: JSON.stringify([...metadata, machine]) }), never)
    const told = async () => saidIn(await backend.logs(refOf(uid), 64_000, never))
    expect(await until('the workspace has asked', told)).toEqual({
      ...Object.fromEntries(metadata.map((url) => [url, 'failed ECONNREFUSED'])),
      [machine]: 'answered 200',
    })
    const fromMachine = `require('http').get('${metadata[0]}', (r) => process.exit(r.statusCode === 200 ? 0 : 1))`
    await promisify(execFile)('nsenter', [...inside, '-e', fromMachine])
  })

  test('an image is pulled once, for everyone who asks, and never again by its digest', async () => {
    const registry = await openRegistry(engine.here, arch)
    onTestFinished(() => registry.close())
    const image = `${registry.host}/slow@${registry.digest}`
    const ask = () => answer(image)
    expect(await Promise.all(Array.from({ length: 5 }, ask))).toEqual(
      Array.from({ length: 5 }, () => `RetryAfter: image "${image}" is being pulled`),
    )
    registry.release()
    await until('it is there', async () => (await ask()) === 'there')
    const { length } = registry.requests
    expect(registry.requests.filter((url) => url.includes('/blobs/'))).toHaveLength(2)
    expect(await ask()).toBe('there')
    // Its program does not exist: it was found, and is not asked for again.
    await expect(backend.ensure(specOf(image, fresh()), never)).rejects.toMatchObject({ reason: 'StartRefused' })
    expect(registry.requests).toHaveLength(length)
  })

  test.each<[Manner, string]>([
    ['closed', 'ImageUnauthorized'],
    ['empty', 'ImageMissing'],
  ])('of a repository that is %s everyone is told %s, of one pull', async (manner, reason) => {
    const registry = await openRegistry(engine.here, arch)
    onTestFinished(() => registry.close())
    const image = `${registry.host}/${manner}:1`
    const message = expect.stringContaining(`"${image}"`)
    await pulled(image)
    for (let asked = 0; asked < 4; asked++) {
      await expect(backend.prepare({ image }, never)).rejects.toMatchObject({ name: 'Terminal', reason, message })
      await expect(backend.ensure(specOf(image, fresh()), never)).rejects.toMatchObject({ reason, message })
    }
    const once = registry.requests.length
    expect(once).toBeLessThanOrEqual(2)
  })

  test('a private image is pulled with the credentials of its registry, and without them one is told what to do', async () => {
    const registry = await openRegistry(engine.here, arch, true)
    onTestFinished(() => registry.close())
    const file = join(mkdtempSync(join(tmpdir(), 'molecule-auth-')), '.dockerconfigjson')
    const holds = (host: string, password: string) =>
      writeFileSync(
        file,
        JSON.stringify({
          auths: { [host]: { auth: Buffer.from(`${login.username}:${password}`).toString('base64') } },
        }),
      )
    const ends = (backendOf: DockerBackend, image: string) =>
      until('the end of the pull', async () => {
        const told = await backendOf.prepare({ image }, never).then(
          () => 'there',
          (error: Error) => error.message,
        )
        return !told.includes('is being pulled') && told
      })
    const open = () =>
      new DockerBackend({ host: engine.host, operatorInstance: `own-${randomUUID()}`, registryAuthFile: file })
    const image = `${registry.host}/private:1`
    holds('other.example', login.password)
    expect(await ends(open(), image)).toContain(`image "${image}" needs credentials, and the operator has none`)
    holds(registry.host, 'wrong-password-of-the-registry')
    const refused = await ends(open(), image)
    expect(refused).toContain(`image "${image}" is refused to the credentials`)
    expect(refused).not.toContain('wrong-password')
    holds(registry.host, login.password)
    expect(await ends(open(), image)).toBe('there')
  })

  test('a tag that is here is taken as it is: what moves it is a digest', async () => {
    const registry = await openRegistry(engine.here, arch)
    onTestFinished(() => registry.close())
    const image = `${registry.host}/ready:1`
    expect(await pulled(image)).toBe('there')
    const { length } = registry.requests
    for (let twice = 0; twice < 2; twice++) await backend.prepare({ image }, never)
    expect(registry.requests).toHaveLength(length)
    const wrong = `${registry.host}/ready@sha256:${'0'.repeat(64)}`
    await pulled(wrong)
    await expect(backend.prepare({ image: wrong }, never)).rejects.toMatchObject({ reason: 'ImageMissing' })
  })

  test('an engine that hangs is unknown within ten seconds, and nothing is done', async () => {
    const uid = fresh()
    await backend.ensure(specOf(asking, uid, { URLS: '[]' }), never)
    const { id } = await state(backend, uid, 'running')
    await engine.server.pause()
    const begun = performance.now()
    let observed = 0
    try {
      const [seen, ...others] = await Promise.all([
        backend.observe(refOf(uid), never).finally(() => (observed = performance.now() - begun)),
        ...[
          backend.ensure(specOf(asking, fresh()), AbortSignal.timeout(12_000)),
          backend.prepare({ image: asking }, never),
        ].map((call) => call.then(String, (error: Error) => error.name)),
      ])
      expect(seen).toMatchObject({ state: 'unknown' })
      expect(others).not.toContain('Terminal')
      // With room for a machine that is slow, but not for a second look of ten seconds.
      expect(observed).toBeLessThan(19_000)
      expect(performance.now() - begun).toBeLessThan(30_000)
    } finally {
      engine.server.resume()
    }
    expect(await state(backend, uid, 'running')).toMatchObject({ id })
  })

  test('an engine that is started anew tells what ended meanwhile', async () => {
    // It waits for those that do not listen when it asks them to end.
    for (const left of used) await gone(backend, left, 'delete')
    const uid = fresh()
    await backend.ensure(specOf(asking, uid, { URLS: '[]' }), never)
    const listens = async () => saidIn(await backend.logs(refOf(uid), 64_000, never))
    await until('it listens to the signal that ends it', listens)
    const stop = new AbortController()
    const told: string[] = []
    const reading = (async () => {
      for await (const ref of backend.changes(stop.signal)) told.push(ref.uid)
    })()
    await until('the first list is told', async () => told.includes(uid))
    await engine.server.stop()
    expect(await backend.observe(refOf(uid), never)).toMatchObject({ state: 'unknown' })
    await sleep(100)
    told.length = 0
    await engine.server.start()
    // It was told as well while the engine went, when nobody could look any more.
    await until('the end is told', async () => told.includes(uid))
    expect(await backend.observe(refOf(uid), never)).toMatchObject({ state: 'exited' })
    stop.abort()
    await reading
    await gone(backend, uid, 'keep')
    await backend.ensure(specOf(asking, uid, { URLS: '[]' }), never)
    await state(backend, uid, 'running')
  })
}
