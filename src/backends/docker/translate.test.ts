import type { ContainerCreateOptions, ContainerInspectInfo } from 'dockerode'
import { assert, constantFrom, pre, property, stringMatching } from 'fast-check'
import { expect, test } from 'vitest'
import { adoptedHash, hostAccesses, type HostAccess, type InstanceSpec } from '../backend.ts'
import { assertContained } from './containment.ts'
import { observationOf, unshadowed } from './observation.ts'
import { adoptedName, assertAdoptable, networkName, refOf } from './ownership.ts'
import { archiveOf, createBody, metadataAddresses } from './translate.ts'

const uid = '0b5c1d3e-0000-4000-8000-000000000001'
const spec: InstanceSpec = {
  ref: { uid, namespace: 'acme', name: 'ceo' },
  specHash: 'abc',
  image: 'agent:1',
  runtime: 'demo',
  env: { KEY: 'a=b c' },
  files: [{ path: 'a/b/c.md', content: 'c' }],
  token: 'secret-token',
  limits: { memoryBytes: 512 << 20, cpus: 0.5, pids: 256, readOnlyRoot: true, hostAccess: [] },
}
const socket = '/run/docker.sock'
const place = { operator: 'op', network: 'net-1', socket, cpus: 2 }
const body = createBody(spec, place)

test('what is made from a spec is contained', () => {
  expect(() => assertContained(body, spec, socket)).not.toThrow()
  const open = { ...spec, limits: { ...spec.limits, readOnlyRoot: false } }
  expect(() => assertContained(createBody(open, place), open, socket)).not.toThrow()
  expect(body.Env).toContain('KEY=a=b c')
  expect(body.HostConfig).toMatchObject({ NanoCpus: 5e8, Memory: 512 << 20, ReadonlyRootfs: true })
  expect(JSON.stringify(body)).not.toContain('secret-token')
})

const port = (HostIp: string) => ({ '8000/tcp': [{ HostIp, HostPort: '' }] })
const volume = { Type: 'volume', Source: 'x', Target: '/x' } as const
const bind = { Type: 'bind', Source: '/srv/a', Target: '/workspace' } as const

const dockerVolume = (options: object) => ({
  ...volume,
  VolumeOptions: { NoCopy: false, Labels: {}, DriverConfig: { Name: 'local', Options: options } },
})
const mounted = body.HostConfig?.Mounts?.[0]

test.each<[string, object]>([
  ['Privileged', { Privileged: true }],
  ['Privileged', { Privileged: false }],
  ['Binds', { Binds: ['/var/run/docker.sock:/s'] }],
  ['Devices', { Devices: [{ PathOnHost: '/dev/kvm', PathInContainer: '/dev/kvm', CgroupPermissions: 'rwm' }] }],
  ['DeviceCgroupRules', { DeviceCgroupRules: ['a *:* rwm'] }],
  ['CapAdd', { CapAdd: ['NET_ADMIN'] }],
  ['CapDrop', { CapDrop: [] }],
  ['VolumesFrom', { VolumesFrom: ['other'] }],
  ['Mounts', { Mounts: [{ ...volume, Type: 'bind', Source: '/etc' }] }],
  ['Mounts', { Mounts: [{ ...volume, Source: '/etc' }] }],
  ['Mounts', { Mounts: [{ ...bind, Source: socket, Target: '/var/run/docker.sock' }] }],
  ['Mounts', { Mounts: [bind] }],
  ['Mounts', { Mounts: [dockerVolume({ type: 'none', o: 'bind', device: '/' })] }],
  ['Mounts', { Mounts: [{ ...mounted, TmpfsOptions: {} }] }],
  ['NetworkMode', { NetworkMode: 'host' }],
  ['NetworkMode', { NetworkMode: 'container:other' }],
  ['NetworkMode', { NetworkMode: '' }],
  ['PidMode', { PidMode: 'host' }],
  ['IpcMode', { IpcMode: 'host' }],
  ['UsernsMode', { UsernsMode: 'host' }],
  ['CgroupnsMode', { CgroupnsMode: 'host' }],
  ['Sysctls', { Sysctls: { 'kernel.shmmax': '1' } }],
  ['Runtime', { Runtime: 'other' }],
  ['MaskedPaths', { MaskedPaths: [] }],
  ['GroupAdd', { GroupAdd: ['0'] }],
  ['ExtraHosts', { ExtraHosts: ['metadata:10.0.0.1'] }],
  ['Links', { Links: ['other:o'] }],
  ['Ulimits', { Ulimits: [] }],
  ['SecurityOpt', { SecurityOpt: ['no-new-privileges:true', 'seccomp=unconfined'] }],
  ['SecurityOpt', { SecurityOpt: [] }],
  ['PortBindings', { PortBindings: port('0.0.0.0') }],
  ['PortBindings', { PortBindings: port('') }],
  ['Memory', { Memory: 0 }],
  ['NanoCpus', { NanoCpus: 1e12 }],
  ['PidsLimit', { PidsLimit: 0 }],
  ['RestartPolicy', { RestartPolicy: { Name: 'always' } }],
])('%s: %j is a way out', (name, change) => {
  const broken = { ...body, HostConfig: { ...body.HostConfig, ...change } }
  const words = `the container would break out: HostConfig.${name}`
  expect(() => assertContained(broken, spec, socket)).toThrow(new TypeError(words))
})

/** Every object in a body, by the way to it. */
function objectsIn(value: unknown, way: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return []
  const below = Object.entries(value).flatMap(([key, one]) => objectsIn(one, [...way, key]))
  return Array.isArray(value) ? below : [way, ...below]
}
/** Whose keys are names, of which there may be any. */
const named = /^(Labels|HostConfig,Mounts,\d+,VolumeOptions,Labels)$/

test('whatever key is added to whatever object of a body, it is refused, and so is a body without any of its own', () => {
  const whole = every(...hostAccesses)
  const hostFolder = { path: '/srv/a', access: 'read_write' } as const
  for (const held of [
    spec,
    whole,
    { ...spec, hostFolder },
    { ...spec, limits: { ...spec.limits, readOnlyRoot: false } },
  ]) {
    const made = createBody(held, place)
    const places = objectsIn(made).filter((way) => !named.test(way.join()))
    expect(places.length).toBeGreaterThan(10)
    const value = constantFrom<unknown>(true, 1, 'x', [], {}, ['x'], { x: 'y' })
    assert(
      property(constantFrom(...places), stringMatching(/^[A-Za-z_/]\w{0,12}$/), value, (way, key, added) => {
        const changed = structuredClone(made) as unknown as Record<string, unknown>
        const object = way.reduce((at, step) => at[step] as Record<string, unknown>, changed)
        pre(!(key in object))
        object[key] = added
        expect(() => assertContained(changed as typeof made, held, socket)).toThrow('would break out')
      }),
      { numRuns: 300 },
    )
    for (const key of ['Memory', 'PidsLimit', 'NanoCpus', 'Mounts', 'NetworkMode', 'RestartPolicy'] as const) {
      const { [key]: _, ...rest } = made.HostConfig ?? {}
      expect(() => assertContained({ ...made, HostConfig: rest }, held, socket)).toThrow(`HostConfig.${key}`)
    }
  }
})

test('an endpoint that does not have the metadata address itself is a way out', () => {
  const made = (LinkLocalIPs: string[]) => ({ Aliases: ['x'], IPAMConfig: { LinkLocalIPs } })
  const whole = made([...metadataAddresses])
  const reach = (EndpointsConfig: Record<string, ReturnType<typeof made>>) => () =>
    assertContained({ ...body, NetworkingConfig: { EndpointsConfig } }, spec, socket)
  expect(reach({ 'net-1': whole })).not.toThrow()
  const out = 'the container would break out: NetworkingConfig'
  for (const addresses of [[], ['169.254.169.254']]) expect(reach({ 'net-1': made(addresses) })).toThrow(out)
  for (const endpoints of [{}, { 'net-2': whole }, { 'net-1': whole, 'net-2': whole }])
    expect(reach(endpoints)).toThrow(out)
  const { NetworkingConfig: _, ...without } = body
  expect(() => assertContained(without, spec, socket)).toThrow(out)
})

const every = (...hostAccess: HostAccess[]): InstanceSpec => ({ ...spec, limits: { ...spec.limits, hostAccess } })

test.each<[HostAccess, string]>([
  ['Privileged', 'HostConfig.Privileged, HostConfig.CapDrop, HostConfig.SecurityOpt'],
  ['HostPID', 'HostConfig.PidMode'],
  ['HostNetwork', 'HostConfig.NetworkMode'],
  ['EngineSocket', 'HostConfig.Mounts'],
])('%s is given to a tier that has it, and contained for every other', (access, names) => {
  const opened = createBody(every(access), place)
  expect(() => assertContained(opened, every(access), socket)).not.toThrow()
  const others = hostAccesses.filter((other) => other !== access)
  expect(() => assertContained(opened, every(...others), socket)).toThrow(`break out: ${names}`)
})

test('a folder of the host is mounted as it was allowed, and no other way', () => {
  const hostFolder = { path: '/srv/a', access: 'read_only' } as const
  const held = { ...spec, hostFolder }
  const made = createBody(held, place)
  expect(made.HostConfig?.Mounts?.[1]).toMatchObject({ ...bind, ReadOnly: true })
  expect(() => assertContained(made, held, socket)).not.toThrow()
  expect(() =>
    assertContained(createBody({ ...held, hostFolder: { ...hostFolder, access: 'read_write' } }, place), held, socket),
  ).toThrow('Mounts')
  expect(() => assertContained(made, { ...held, hostFolder: { ...hostFolder, path: '/srv' } }, socket)).toThrow(
    'Mounts',
  )
  const paths = archiveOf({ ...held, limits: { ...spec.limits, readOnlyRoot: false } }).entries.map(({ path }) => path)
  expect(paths).not.toContain('workspace/')
})

test.each(['', '0', 'root'])('the user %j is a way out', (User) => {
  expect(() => assertContained({ ...body, User }, spec, socket)).toThrow('the container would break out: User')
})

test('a limit above the CPUs of the machine is all of them', () => {
  const wide = createBody({ ...spec, limits: { ...spec.limits, cpus: 4 } }, place)
  expect(wide.HostConfig?.NanoCpus).toBe(2e9)
})

test('a limit of disk bounds the layer where the storage driver can, and is asked for nowhere else', () => {
  const bounded = { ...spec, limits: { ...spec.limits, diskBytes: 2 ** 30 } }
  const made = createBody(bounded, { ...place, boundsLayers: true })
  expect(made.HostConfig?.StorageOpt).toEqual({ size: '1073741824' })
  expect(() => assertContained(made, bounded, socket)).not.toThrow()
  expect(() => assertContained(made, spec, socket)).toThrow('HostConfig.StorageOpt')
  expect(createBody(bounded, place).HostConfig).not.toHaveProperty('StorageOpt')
  expect(createBody(spec, { ...place, boundsLayers: true }).HostConfig).not.toHaveProperty('StorageOpt')
})

test('an environment that could smuggle a second variable is refused', () => {
  expect(() => createBody({ ...spec, env: { 'A=B': 'c' } }, place)).toThrow('"A=B"')
})

test('files and token go to /configs, and to the root where that can be written', () => {
  const paths = ({ entries }: ReturnType<typeof archiveOf>) =>
    entries.map(({ path, mode, owner }) => `${path} ${mode.toString(8)} ${owner}`)
  const sealed = archiveOf(spec)
  expect(sealed.path).toBe('/configs')
  expect(paths(sealed)).toEqual([
    './ 755 1000',
    './a/ 755 1000',
    './a/b/ 755 1000',
    './a/b/c.md 644 1000',
    './.auth_token 600 1000',
  ])
  const open = archiveOf({ ...spec, limits: { ...spec.limits, readOnlyRoot: false } })
  expect(open.path).toBe('/')
  expect(paths(open)).toContain('workspace/ 755 1000')
  expect(paths(open)).toContain('configs/.auth_token 600 1000')
})

test('labels are ours when they name this operator and a uid', () => {
  const { Labels = {} } = body
  expect(refOf(Labels, '/x', 'op')).toEqual(spec.ref)
  expect(refOf(Labels, '/x', 'another')).toBeUndefined()
  expect(refOf({ 'molecule.dev/operator': 'op' }, '/x', 'op')).toBeUndefined()
})

test('an adopted name is ours when no operator left a label, and it is all of the ref', () => {
  const ref = { ...spec.ref, name: 'design.lead' }
  const name = `/${adoptedName('op', ref)}`
  expect(refOf({}, name, 'op')).toEqual(ref)
  expect(refOf({}, name, 'another')).toBeUndefined()
  expect(refOf({ 'molecule.dev/operator': 'another' }, name, 'op')).toBeUndefined()
  expect(refOf({}, `/ws-${uid}`, 'op')).toBeUndefined()
})

const legacy = { 'molecule.platform.managed': 'true' }
const other = { ...spec.ref, uid: '0b5c1d3e-0000-4000-8000-000000000002' }

test.each([
  ['is free', {}, undefined],
  ['belongs to another operator', { Labels: { ...legacy, 'molecule.dev/operator': 'another' } }, /another operator/],
  ['belongs to another uid', { Labels: { ...legacy, 'molecule.dev/uid': other.uid } }, /belongs to another Workspace$/],
  ['was adopted for another uid', { Name: `/${adoptedName('op', other)}` }, /another Workspace/],
  ['was adopted by another operator', { Name: `/${adoptedName('another', spec.ref)}` }, /adopted by another operator/],
  ['is something else', { Labels: {} }, /is no workspace/],
  ['has ended', { State: { Running: false, Status: 'exited' } }, /does not run: it is exited/],
])('adopting a container that %s', (_, { Labels, Name = '/ws-old', State = { Running: true } }: Free, refused) => {
  const info = { Id: 'abc', Name, Config: { Labels: Labels ?? legacy }, State } as unknown as ContainerInspectInfo
  const adopt = () => assertAdoptable(info, spec.ref, 'op')
  if (refused === undefined) expect(adopt).not.toThrow()
  else expect(adopt).toThrow(refused)
})

interface Free {
  Labels?: Record<string, string>
  Name?: string
  State?: { Running: boolean; Status?: string }
}

test('networks of two operators have two names', () => {
  expect(networkName('a', 'x'.repeat(63))).toMatch(/^molecule-[0-9a-f]{12}-[0-9a-f]{12}$/)
  expect(networkName('a', 'x', 2)).toBe(`${networkName('a', 'x')}-2`)
  expect(new Set([networkName('a', 'x'), networkName('b', 'x'), networkName('a', 'y')]).size).toBe(3)
})

const inspected = (State: object, image = 'agent:1', made = body, Networks: object = {}) =>
  ({
    Id: 'id',
    Image: 'sha256:1234',
    Config: { Labels: made.Labels, Env: made.Env, Image: image },
    HostConfig: made.HostConfig,
    State: { StartedAt: '2026-01-01T00:00:00Z', FinishedAt: '2026-01-02T00:00:00Z', ...State },
    NetworkSettings: { Networks, Ports: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '4567' }] } },
  }) as unknown as ContainerInspectInfo

test.each([
  ['created', { state: 'created', specHash: 'abc' }],
  ['restarting', { state: 'starting' }],
  ['running', { state: 'running', address: 'http://127.0.0.1:4567', imageDigest: 'sha256:1234' }],
  ['paused', { state: 'running' }],
  ['removing', { state: 'stopping' }],
  ['exited', { state: 'exited', exitCode: 137, detail: 'exit code 137, out of memory' }],
  ['dead', { state: 'exited' }],
  ['levitating', { state: 'unknown' }],
])('%s is observed as %j', (Status, seen) => {
  expect(observationOf(inspected({ Status, ExitCode: 137, OOMKilled: true, Error: '' }))).toMatchObject(seen)
})

test('the digest of a pinned image is the one it is pinned to', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  expect(observationOf(inspected({ Status: 'running' }, `r.io/a@${digest}`))).toMatchObject({ imageDigest: digest })
})

test('an agent on the network of the host is where it was told to listen', () => {
  const made = createBody(every('HostNetwork'), place)
  const port = made.Env?.find((line) => line.startsWith('PORT='))?.slice('PORT='.length)
  expect(Number(port)).toBeGreaterThan(1024)
  const running = inspected({ Status: 'running' }, 'agent:1', made)
  expect(observationOf(running)).toMatchObject({ address: `http://127.0.0.1:${port}` })
})

test.each<[string, ContainerCreateOptions, object, object]>([
  ['one on its own network', body, { own: { NetworkID: place.network } }, {}],
  [
    'one that was put on a second network',
    body,
    { own: { NetworkID: place.network }, more: { NetworkID: 'b' } },
    { exposure: 'SharedNetwork' },
  ],
  ['one that was put on another network', body, { more: { NetworkID: 'b' } }, { exposure: 'SharedNetwork' }],
  [
    'one of before there were networks for namespaces',
    { ...body, Labels: { 'molecule.dev/operator': 'op' } },
    {},
    { exposure: 'SharedNetwork' },
  ],
  ['an adopted one', { ...body, Labels: {} }, {}, { exposure: 'AdoptedInstance' }],
  ['one on the network of the host', createBody(every('HostNetwork'), place), {}, { exposure: 'HostNetwork' }],
])('%s is observed as %j', (_, made, networks, exposed) => {
  const seen = observationOf(inspected({ Status: 'running' }, 'agent:1', made, networks))
  expect('exposure' in seen ? { exposure: seen.exposure } : {}).toEqual(exposed)
})

test('a container that was given all metadata addresses has them itself', () => {
  const given = (...LinkLocalIPs: string[]) =>
    inspected({ Status: 'running' }, 'agent:1', body, { own: { IPAMConfig: { LinkLocalIPs } } })
  expect(unshadowed(given(...metadataAddresses))).toEqual([])
  expect(unshadowed(given('169.254.169.254'))).toEqual(['169.254.170.2', '169.254.170.23'])
  expect(unshadowed(inspected({}, 'agent:1', body, { own: { IPAMConfig: null } }))).toEqual(metadataAddresses)
})

test('what no operator of ours made is observed as adopted', () => {
  expect(observationOf(inspected({ Status: 'running' }, 'agent:1', { ...body, Labels: {} }))).toMatchObject({
    specHash: adoptedHash,
  })
})
